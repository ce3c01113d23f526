"""What Ollama must be told of a model beside its GGUF file: how turns are written, where an answer ends, the system prompt.

It does not run Jinja, so the chat template becomes one of Go's text/template: https://docs.ollama.com/modelfile.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from core.inference.prompt import ends_of
from core.models.load import begins_with_bos
from core.models.templates import REFUSALS

Turn = tuple[str, str]  # role, words
SYSTEM, QUESTION, ANSWER, FURTHER = "One system prompt.", "Two questions?", "Three answers.", "Four further questions?"
UNSAID = "# The system prompt of the training cannot be quoted here: begin conversations with it."
# Conversations that must come out as the chat template has them.
TRIED: tuple[tuple[Turn, ...], ...] = (
    (("user", QUESTION),),
    (("user", QUESTION), ("assistant", ANSWER), ("user", FURTHER)),
    (("system", SYSTEM), ("user", QUESTION)),
    (("system", SYSTEM), ("user", QUESTION), ("assistant", ANSWER), ("user", FURTHER), ("assistant", QUESTION), ("user", ANSWER)),
)  # fmt: skip


@dataclass(frozen=True)
class Turns:
    """What stands before the words of each role and after them, where they come first (`first`), and before an answer."""

    first: dict[str, str]
    before: dict[str, str]
    after: dict[str, str]
    answer: str

    def text(self, turns: Sequence[Turn]) -> str:
        """A conversation written this way, up to the answer."""
        befores = [self.first[turns[0][0]], *(self.before[role] for role, _ in turns[1:])]
        written = (before + words + self.after[role] for before, (role, words) in zip(befores, turns, strict=True))
        return "".join(written) + self.answer

    @property
    def disturbs_go(self) -> bool:
        """Whether a text of these would begin an action of Go's, by itself or with the braces that come after it."""
        texts = (*self.first.values(), *self.before.values(), *self.after.values(), self.answer)
        return any("{{" in text or text.endswith("{") for text in texts)

    def template(self) -> str:
        """The same for Go; nothing trims, so that every space counts. A later system prompt comes as a user's turn."""
        first = _choice({"system": self.first["system"]}, self.first["user"])
        later = _choice({"assistant": self.before["assistant"]}, self.before["user"])
        after = _choice({role: self.after[role] for role in ("system", "user")}, self.after["assistant"])
        before = f"{{{{ if eq $i 0 }}}}{first}{{{{ else }}}}{later}{{{{ end }}}}"
        return f"{{{{ range $i, $_ := .Messages }}}}{before}{{{{ .Content }}}}{after}{{{{ end }}}}{self.answer}"


def modelfile(name: str, tokenizer: PreTrainedTokenizerBase, system: str | None) -> str:
    """The Modelfile for a GGUF file of this name beside it."""
    lines = [f"FROM ./{name}"]
    template = _template(tokenizer)
    if template and _can_be_quoted(template):
        lines.append(f'TEMPLATE """{template}"""')
    else:
        lines.append("# This chat template cannot be said in Go's words: Ollama takes the likest of its own.")
    if system:
        lines.append(f'SYSTEM """{system}"""' if _can_be_quoted(system) else UNSAID)
    lines += [f'PARAMETER stop "{end}"' for end in _stops(tokenizer)]
    return "\n".join(lines) + "\n"


def files_on_the_hub(tokenizer: PreTrainedTokenizerBase, system: str | None) -> dict[str, bytes]:
    """The same in the files of a repository that Ollama is told of, where it reads no Modelfile: huggingface.co/docs/hub/ollama."""
    found = {
        "template": _template(tokenizer),
        "system": system,
        "params": json.dumps({"stop": _stops(tokenizer)}),
    }
    return {name: text.encode() for name, text in found.items() if text}


def _template(tokenizer: PreTrainedTokenizerBase) -> str | None:
    turns = turns_of(tokenizer)
    return turns.template() if turns else None


def _stops(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return tokenizer.convert_ids_to_tokens(sorted(ends_of(tokenizer)))


def turns_of(tokenizer: PreTrainedTokenizerBase) -> Turns | None:
    """How a chat template writes turns; None where no such rule gives the same text."""
    try:
        turns = _read(tokenizer)
        same = all(turns.text(tried) == _text(tokenizer, tried) for tried in TRIED)
    except REFUSALS:
        return None
    return turns if same and not turns.disturbs_go else None


def _read(tokenizer: PreTrainedTokenizerBase) -> Turns:
    """Found by what stands between known words; raises ValueError where they do not stand there as they are."""
    question, answer = ("user", QUESTION), ("assistant", ANSWER)
    begin, between, back, _ = _cut(_text(tokenizer, (question, answer, ("user", FURTHER))), QUESTION, ANSWER, FURTHER)
    after_question, after_answer = (
        _cut(_text(tokenizer, turns, ask=False), turns[-1][1])[1] for turns in ((question,), (question, answer))
    )
    begin_with_system, after_system, asked = _cut(_text(tokenizer, (("system", SYSTEM), question)), SYSTEM, QUESTION)
    user = back.removeprefix(after_answer)
    return Turns(
        first={"system": begin_with_system, "user": begin},
        before={"user": user, "assistant": between.removeprefix(after_question)},
        after={"system": after_system.removesuffix(user), "user": after_question, "assistant": after_answer},
        answer=asked.removeprefix(after_question),
    )


def _cut(text: str, *words: str) -> list[str]:
    """What stands between these words, before the first and after the last."""
    found = []
    for word in words:
        before, text = text.split(word, 1)
        found.append(before)
    return [*found, text]


def _text(tokenizer: PreTrainedTokenizerBase, turns: tuple[Turn, ...], ask: bool = True) -> str:
    """As the chat template writes it, without the token that the runtime puts before every text itself."""
    messages = [{"role": role, "content": words} for role, words in turns]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)
    return text.removeprefix(tokenizer.bos_token) if begins_with_bos(tokenizer) else text


def _choice(cases: dict[str, str], otherwise: str) -> str:
    """In Go: this text for this role."""
    said = "{{ else ".join(f'if eq .Role "{role}" }}}}{text}' for role, text in cases.items())
    return f"{{{{ {said}{{{{ else }}}}{otherwise}{{{{ end }}}}"


def _can_be_quoted(text: str) -> bool:
    """A Modelfile has three quotation marks around, and no way to write them inside."""
    return '"""' not in text and not text.endswith('"')
