"""Tokens and labels: the one function that turns conversations into what the model learns from, for preview and trainer.

A chat template that keeps what it has written (prefix-preserving) is rendered up to each assistant turn and once more
with it; the difference is that turn's text. The whole text is tokenised once, with offsets, and the tokens inside the
turns, their end-of-turn token included, carry labels.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import _compile_jinja_template

from core.data.checked import is_learned
from core.data.conversation import SIMPLE, Conversation, Message, PlainText, RowProblem, turn_name
from core.data.forged import check_marks
from core.errors import DataError
from core.models.load import begins_with_bos
from core.models.templates import REFUSALS

IGNORED = -100  # torch's cross entropy leaves labels of this value out
Span = tuple[int, int]  # characters [start, end)

PROBE: list[Message] = [
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "First."},
    {"role": "user", "content": "Two?"},
    {"role": "assistant", "content": "Second."},
]


@dataclass(frozen=True)
class Encoded:
    """One conversation: ids and labels of equal length, the text, and each token's characters in it."""

    input_ids: list[int]
    labels: list[int]
    text: str
    offsets: list[Span]

    @property
    def supervised(self) -> int:
        return len(self.labels) - self.labels.count(IGNORED)


def training_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """The chat template to train with: the tokenizer's own, or TRL's training version of one that rewrites history.

    Raises DataError where there is no template, or none that keeps earlier turns as they were.
    """
    if not tokenizer.chat_template:
        raise DataError(
            "This model has no chat template, so turns cannot be marked. Choose `plain` or `alpaca` as model.chat_template, "
            "which need no new tokens, choose the model's Instruct version, or give Jinja text in model.chat_template."
        )
    try:
        render(PROBE, tokenizer, tokenizer.chat_template)
    except RowProblem as problem:
        return _patched_template(tokenizer, problem)
    return tokenizer.chat_template


def _patched_template(tokenizer: PreTrainedTokenizerBase, problem: RowProblem) -> str:
    from trl.chat_template_utils import get_training_chat_template

    try:
        template = get_training_chat_template(tokenizer)
        render(PROBE, tokenizer, template)
    except (*REFUSALS, RowProblem):
        if refusal := problem.__cause__:
            raise DataError(
                f"The chat template cannot write a plain question and its answer: {refusal}. Correct the Jinja text in "
                "model.chat_template, give another there, or choose another model."
            ) from None
        raise DataError(
            "This model's chat template rewrites earlier turns, so what the model would see while answering is not what it "
            "would be trained on. Give another template in model.chat_template, or choose another model."
        ) from None
    return template


def render(
    messages: list[Message], tokenizer: PreTrainedTokenizerBase, template: str, tools: list[dict] | None = None
) -> tuple[str, list[Span]]:
    """The conversation as text, and the characters of each assistant turn that is learned; raises RowProblem."""
    _check_tools(messages, template, tools)
    check_marks(messages, tokenizer, tools)
    page = _Page(messages, tokenizer, template, tools)
    whole = page.text(len(messages))
    turns = [number for number, message in enumerate(messages) if is_learned(message)]
    return whole, [page.span(turn, whole) for turn in turns]


def render_text(said: PlainText, tokenizer: PreTrainedTokenizerBase) -> tuple[str, list[Span]]:
    """Plain text as the tokenizer would begin it, its end marked; all of it is learned."""
    text = _beginning(tokenizer) + said.text + (tokenizer.eos_token or "")
    return text, [(0, len(text))]


@lru_cache(maxsize=8)
def _beginning(tokenizer: PreTrainedTokenizerBase) -> str:
    return tokenizer.bos_token if begins_with_bos(tokenizer) else ""


def _check_tools(messages: list[Message], template: str, tools: list[dict] | None) -> None:
    if "tool" in template:
        return
    used = (place for place, message in enumerate(messages) if message["role"] == "tool" or message.get("tool_calls"))
    place = next(used, None)
    if tools or place is not None:
        what = "has tools" if place is None else f"{turn_name(messages, place)} is about a tool"
        raise RowProblem(f"{what}, and the model's chat template knows none; choose a model whose template does")


@dataclass(frozen=True)
class _Page:
    """A conversation and how it is written."""

    messages: list[Message]
    tokenizer: PreTrainedTokenizerBase
    template: str
    tools: list[dict] | None

    def text(self, turns: int, asks: bool = False) -> str:
        """The first turns as text; `asks` begins the answer to them."""
        try:
            return self._written(turns, asks)
        except REFUSALS as error:
            where = turn_name(self.messages, self._first_refused(turns))
            raise RowProblem(f"{where} does not fit the model's chat template: {error}") from error

    def _written(self, turns: int, asks: bool = False) -> str:
        messages = self.messages[:turns]
        if self.is_simple:
            return _filled(self.tokenizer, self.template, messages, asks)
        return self.tokenizer.apply_chat_template(
            messages, tools=self.tools, chat_template=self.template, tokenize=False, add_generation_prompt=asks
        )

    def _first_refused(self, turns: int) -> int:
        """The turn after which the template refuses, of so many that it does refuse: found by halving."""
        written = 0
        while turns - written > 1:
            half = (written + turns) // 2
            try:
                self._written(half)
            except REFUSALS:
                turns = half
            else:
                written = half
        return written

    @cached_property
    def is_simple(self) -> bool:
        """Whether there are but roles and contents, for which transformers prepares nothing."""
        return not self.tools and all(message.keys() == SIMPLE for message in self.messages)

    def span(self, turn: int, whole: str) -> Span:
        """The characters of one assistant turn."""
        before = self.text(turn, asks=True)
        after = whole if turn == len(self.messages) - 1 else self.text(turn + 1)
        if not whole.startswith(after):
            # Phi writes the end of text once, after the last turn.
            after = after.removesuffix(self.tokenizer.eos_token or "")
        if not (whole.startswith(after) and after.startswith(before)):
            where = turn_name(self.messages, turn)
            raise RowProblem(
                f"{where} cannot be trained on: the chat template rewrites earlier turns of this conversation"
            )
        # The line break that many templates write after the end-of-turn token belongs to nobody.
        return len(before), len(after.rstrip("\n")) if after[len(before) :].strip() else len(after)


def _filled(tokenizer: PreTrainedTokenizerBase, template: str, messages: list[Message], asks: bool) -> str:
    """What `apply_chat_template` makes of simple messages, without its copies of them: half of the time of a preparation."""
    compiled = _compile_jinja_template(template)
    return compiled.render(
        messages=messages, tools=None, documents=None, add_generation_prompt=asks, **_special_texts(tokenizer)
    )


@lru_cache(maxsize=8)
def _special_texts(tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    return dict(tokenizer.special_tokens_map)


def rendered(
    said: Conversation | PlainText, tokenizer: PreTrainedTokenizerBase, template: str
) -> tuple[str, list[Span]]:
    """What a row says, as text with the stretches that are learned; raises RowProblem."""
    if isinstance(said, PlainText):
        return render_text(said, tokenizer)
    return render(said.messages, tokenizer, template, said.tools)


def encode(
    texts: list[str], spans: list[list[Span]], tokenizer: PreTrainedTokenizerBase, train_on: str = "assistant"
) -> list[Encoded]:
    """Tokens and labels of rendered conversations; `train_on` is `assistant` or `all`."""
    return [
        _encoded(text, [(0, len(text))] if train_on == "all" else turns, found)
        for text, turns, found in zip(texts, spans, _tokenized(texts, tokenizer), strict=True)
    ]


def _tokenized(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> list[Any]:
    """The texts as `tokenizers.Encoding`; neither cut nor padded. Lets other threads work meanwhile."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return backend.encode_batch(texts, add_special_tokens=False)


def _encoded(text: str, turns: list[Span], found: Any) -> Encoded:
    """Labels on the tokens that lie in a turn with all their characters; turns are in order."""
    ids, offsets = found.ids, found.offsets
    labels = [IGNORED] * len(ids)
    for start, end in turns:
        first, last = first_token(offsets, start), first_token(offsets, end)
        # An end of turn may be a token that takes the line break after it; words beyond the turn are not learned.
        while last > first and text[end : offsets[last - 1][1]].strip():
            last -= 1
        labels[first:last] = ids[first:last]
    return Encoded(ids, labels, text, offsets)


def first_token(offsets: list[Span], character: int) -> int:
    """The first token that begins at a character or after it."""
    return bisect_left(offsets, (character, 0))
