"""Tokens and labels: the one function that turns conversations into what the model learns from, for preview and trainer.

A chat template that keeps what it has written (prefix-preserving) is rendered up to each assistant turn and once more
with it; the difference is that turn's text. The whole text is tokenised once, with offsets, and the tokens inside the
turns, their end-of-turn token included, carry labels.
"""

from dataclasses import dataclass

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from core.data.conversation import Message, RowProblem
from core.errors import DataError

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
        return sum(label != IGNORED for label in self.labels)


def training_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """The chat template to train with: the tokenizer's own, or TRL's training version of one that rewrites history.

    Raises DataError where there is no template, or none that keeps earlier turns as they were.
    """
    if not tokenizer.chat_template:
        raise DataError(
            "This model has no chat template, so turns cannot be marked. Choose its Instruct version, or give a template "
            "in model.chat_template."
        )
    try:
        render(PROBE, tokenizer, tokenizer.chat_template)
    except RowProblem:
        return _patched_template(tokenizer)
    return tokenizer.chat_template


def _patched_template(tokenizer: PreTrainedTokenizerBase) -> str:
    from trl.chat_template_utils import get_training_chat_template

    try:
        template = get_training_chat_template(tokenizer)
        render(PROBE, tokenizer, template)
    except (ValueError, RowProblem):
        raise DataError(
            "This model's chat template rewrites earlier turns, so what the model would see while answering is not what it "
            "would be trained on. Give another template in model.chat_template, or choose another model."
        ) from None
    return template


def render(messages: list[Message], tokenizer: PreTrainedTokenizerBase, template: str) -> tuple[str, list[Span]]:
    """The conversation as text, and the characters of each assistant turn in it; raises RowProblem."""
    whole = _text(messages, tokenizer, template)
    turns = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
    return whole, [_span(messages, turn, whole, tokenizer, template) for turn in turns]


def _span(messages: list[Message], turn: int, whole: str, tokenizer: PreTrainedTokenizerBase, template: str) -> Span:
    before = _text(messages[:turn], tokenizer, template, add_generation_prompt=True)
    after = whole if turn == len(messages) - 1 else _text(messages[: turn + 1], tokenizer, template)
    if not (whole.startswith(after) and after.startswith(before)):
        raise RowProblem("cannot be trained on: the chat template rewrites earlier turns of this conversation")
    # The line break that many templates write after the end-of-turn token belongs to nobody.
    return len(before), len(after.rstrip("\n")) if after[len(before) :].strip() else len(after)


def _text(messages: list[Message], tokenizer: PreTrainedTokenizerBase, template: str, **settings: bool) -> str:
    try:
        return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, **settings)
    except (TemplateError, TypeError, KeyError, IndexError) as error:
        raise RowProblem(f"does not fit the model's chat template: {error}") from error


def encode(
    texts: list[str], spans: list[list[Span]], tokenizer: PreTrainedTokenizerBase, train_on: str = "assistant"
) -> list[Encoded]:
    """Tokens and labels of rendered conversations; `train_on` is `assistant` or `all`."""
    found = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False)
    return [
        Encoded(ids, _labels(ids, offsets, [(0, len(text))] if train_on == "all" else turns), text, offsets)
        for ids, offsets, text, turns in zip(found["input_ids"], found["offset_mapping"], texts, spans, strict=True)
    ]


def _labels(ids: list[int], offsets: list[Span], turns: list[Span]) -> list[int]:
    """A token is learned if all of it lies in a turn; turns are in order, so one pass over the tokens is enough."""
    labels = [IGNORED] * len(ids)
    remaining = iter(turns)
    start, end = next(remaining, (0, -1))
    for position, (first, last) in enumerate(offsets):
        while first >= end >= 0 and first < last:
            start, end = next(remaining, (0, -1))
        if start <= first and last <= end and first < last:
            labels[position] = ids[position]
    return labels
