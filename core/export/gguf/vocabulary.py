"""A tokenizer as llama.cpp reads it: its tokens and merges, how it cuts a text into words, and its chat template."""

import json
from dataclasses import dataclass
from typing import Any

from gguf import GGUFWriter, TokenType
from transformers import AddedToken, PreTrainedTokenizerBase

from core.errors import ModelError
from core.inference.prompt import ends_of
from core.models.load import begins_with_bos


@dataclass(frozen=True)
class Rule:
    """llama.cpp's name for a kind of tokenizer, and for how it cuts a text into words before merging."""

    model: str
    words: str


# What is done before merging -> llama.cpp's name. It knows the rules by name alone, so one that is not here cannot be told to
# it. The patterns are those of the models' own tokenizer.json.
DIGITS = "one digit at a time"
PLAIN = "as GPT-2 does"
WORDS_OF_LLAMA = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS_OF_QWEN = WORDS_OF_LLAMA.replace(r"\p{N}{1,3}", r"\p{N}")
SPACES_SHOWN = "spaces as ▁"
RULES = {
    (PLAIN,): Rule("gpt2", "gpt-2"),
    (DIGITS, PLAIN): Rule("gpt2", "smollm"),
    (WORDS_OF_LLAMA,): Rule("gpt2", "llama-bpe"),
    (WORDS_OF_QWEN,): Rule("gpt2", "qwen2"),
    (SPACES_SHOWN,): Rule("llama", "default"),  # SentencePiece: single bytes are tokens of their own, <0x0A>
}


def write_vocabulary(writer: GGUFWriter, tokenizer: PreTrainedTokenizerBase, size: int) -> None:
    """Add the tokens of ids 0 to `size`, and all that belongs to them; raises ModelError for a tokenizer of another kind."""
    rule = rule_of(tokenizer)
    tokens, kinds = _tokens(tokenizer, size)
    writer.add_tokenizer_model(rule.model)
    writer.add_tokenizer_pre(rule.words)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    if rule.model == "gpt2":
        writer.add_token_merges([" ".join(pair) for pair in _inner(tokenizer)["model"]["merges"]])
    else:
        # The pair that makes the token with the highest score is merged first: such a vocabulary is in that order.
        writer.add_token_scores([-float(index) for index in range(size)])
        writer.add_add_space_prefix(False)
    _write_special(writer, tokenizer)
    if template := _template(tokenizer):
        writer.add_chat_template(template)


def rule_of(tokenizer: PreTrainedTokenizerBase) -> Rule:
    """How a tokenizer cuts words; raises ModelError where llama.cpp has no name for it."""
    inner = _inner(tokenizer)
    if inner["model"]["type"] == "BPE" and (rule := RULES.get(_steps(inner))):
        return rule
    raise ModelError(
        "The tokenizer of this model cuts words in a way that llama.cpp has no name for here, so its GGUF would read other "
        "tokens. Export it merged, and convert that folder with llama.cpp's own convert_hf_to_gguf.py."
    )


def _template(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The chat template; of several the one for conversations, as transformers takes it."""
    found = tokenizer.chat_template
    return found.get("default") if isinstance(found, dict) else found


def _inner(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Its tokenizer.json."""
    return json.loads(tokenizer.backend_tokenizer.to_str())


def _steps(inner: dict[str, Any]) -> tuple[str, ...]:
    """What is done with a text before tokens are merged."""
    first, then = inner["normalizer"] or {}, inner["pre_tokenizer"] or {}
    steps = [*first.get("normalizers", [first]), *then.get("pretokenizers", [then])]
    return tuple(filter(None, map(_step, steps)))


def _step(step: dict[str, Any]) -> str | None:
    """One step; None for what changes no tokens, or what all of them do: bytes as letters, accents in one piece."""
    match step:
        case {} if not step:
            return None
        case {"type": "NFC"}:
            return None
        case {"type": "ByteLevel", "add_prefix_space": False}:
            return PLAIN if step["use_regex"] else None
        case {"type": "Digits", "individual_digits": True}:
            return DIGITS
        case {"type": "Split", "behavior": "Isolated", "invert": False, "pattern": {"Regex": pattern}}:
            return pattern
        case {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}:
            return SPACES_SHOWN
        case {"type": "Split", "behavior": "MergedWithPrevious", "pattern": {"String": " "}}:
            return None  # no space is left
    return json.dumps(step)


def _tokens(tokenizer: PreTrainedTokenizerBase, size: int) -> tuple[list[str], list[int]]:
    """Text and kind of every id; a model may have more rows than its tokenizer has tokens, or fewer, as Gemma 3 1B has."""
    texts = {index: text for text, index in tokenizer.get_vocab().items()}
    kinds = [_kind(texts.get(index)) for index in range(size)]
    for index, token in tokenizer.added_tokens_decoder.items():
        if index < size:
            kinds[index] = _kind_of_added(token)
    return [texts.get(index, f"[PAD{index}]") for index in range(size)], kinds


def _kind(text: str | None) -> TokenType:
    if text is None:
        return TokenType.UNUSED
    return TokenType.BYTE if len(text) == 6 and text.startswith("<0x") else TokenType.NORMAL


def _kind_of_added(token: AddedToken) -> TokenType:
    """llama.cpp says one of a person's as it stands, and would write `▁▁` where Gemma means two spaces."""
    if token.special:
        return TokenType.CONTROL
    return TokenType.USER_DEFINED if token.content.strip("▁") else TokenType.NORMAL


def _write_special(writer: GGUFWriter, tokenizer: PreTrainedTokenizerBase) -> None:
    """The tokens that begin and end a text. An answer ends at the template's own end of turn too."""
    eos = tokenizer.eos_token_id
    turn = next((end for end in ends_of(tokenizer) if end != eos), None)
    if eos is None:  # told of none, llama.cpp would end every answer at the token of id 11, often a bracket or a comma
        eos = turn
    known = {"bos": tokenizer.bos_token_id, "eos": eos, "pad": tokenizer.pad_token_id, "unk": tokenizer.unk_token_id}
    for name, token in (known | {"eot": turn}).items():
        if token is not None:
            getattr(writer, f"add_{name}_token_id")(token)
    writer.add_add_bos_token(_begins(tokenizer))
    writer.add_add_eos_token(False)


def _begins(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a text is to begin with that token: where the chat template does not write it, no conversation was trained with it."""
    template = _template(tokenizer)
    written = not template or "bos_token" in template or str(tokenizer.bos_token) in template
    return begins_with_bos(tokenizer) and written
