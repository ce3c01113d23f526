"""Text that a model would read as one of its own marks: it would forge a turn, or end one."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Any

from transformers import PreTrainedTokenizerBase

from core.data.conversation import SIMPLE, Message, RowProblem, turn_name


def check_marks(messages: list[Message], tokenizer: PreTrainedTokenizerBase, tools: list[dict] | None) -> None:
    """Raise RowProblem where a text would become one of the tokens that only the template may write."""
    marks = _marks(tokenizer)
    if marks is None:
        return
    for place, message in enumerate(messages):
        said = (message["content"],) if message.keys() == SIMPLE else _texts(message)
        if found := next(filter(None, map(marks.search, said)), None):
            raise RowProblem(f"{turn_name(messages, place)} holds {_taken_for_a_mark(found)}")
    if tools and (found := next(filter(None, map(marks.search, _texts(tools))), None)):
        raise RowProblem(f"the description of its tools holds {_taken_for_a_mark(found)}")


def _taken_for_a_mark(found: re.Match[str]) -> str:
    return f"{found[0]!r}, which this model reads as a mark of its own; take it out"


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, at any depth: thoughts, names, and what a tool is called with, are written out too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in chain(value, value.values()) if isinstance(value, dict) else value:
            yield from _texts(inner)


@lru_cache(maxsize=8)
def _marks(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str] | None:
    """The special tokens as they are written; markers of thoughts and tools, which rows may hold, are not special."""
    added = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    special = sorted(added | set(tokenizer.all_special_tokens), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, special))) if special else None
