"""Conversations written out as one text, with a mark before each turn, as data for a model's own template often is."""

import re

from core.data.conversation import Message, RowProblem

# Each finds a mark and who speaks after it.
MARKS = (
    re.compile(r"(?<!#)###\s*(human|user|assistant|system)\s*:", re.IGNORECASE),  # openassistant-guanaco
    re.compile(r"<\|im_start\|>\s*(user|assistant|system|tool)[ \t]*\n"),  # ChatML
    re.compile(r"(?:^|\n\n)(Human|Assistant):"),  # hh-rlhf
)
END = "<|im_end|>"
ROLES = {"human": "user"}


def marked_turns(text: str, column: str) -> list[Message]:
    """The turns of a marked text, unchecked; raises RowProblem where it does not begin with a mark."""
    marked = text.strip()
    mark = next((mark for mark in MARKS if mark.match(marked)), None)
    if mark is None:
        raise RowProblem(f"the column `{column}` does not begin with a mark such as `### Human:` or `<|im_start|>user`")
    _, *parts = mark.split(marked)
    spoken = list(zip(parts[::2], parts[1::2], strict=True))
    if not _said(spoken[-1][1]):
        spoken.pop()  # the mark after which a model is meant to go on
    while any(_is_answer(who) for who, _ in spoken) and not _is_answer(spoken[-1][0]):
        spoken.pop()  # a question that stands there without its answer, as guanaco's often end
    return [{"role": ROLES.get(who.lower(), who.lower()), "content": _said(words)} for who, words in spoken]


def _is_answer(who: str) -> bool:
    return who.lower() == "assistant"


def _said(words: str) -> str:
    return words.partition(END)[0].strip()
