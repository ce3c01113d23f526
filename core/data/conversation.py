"""What a row says: a conversation whose form has been checked (`checked.py`), or plain text."""

import re
from dataclasses import dataclass
from typing import Any

# {"role": "system" | "user" | "assistant" | "tool", "content": text}; an assistant's may have `tool_calls` (tool_calls.py),
# `reasoning_content`, and `weight` 0 where it is not learned; a tool's `tool_call_id`, any a `name`.
Message = dict[str, Any]
SIMPLE = {"role", "content"}  # the keys of most messages
LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can hold them, no encoding and no tokenizer can
KINDS = {
    "NoneType": "missing",
    "str": "text",
    "int": "a number",
    "float": "a number",
    "list": "a list",
    "dict": "an object",
}
LONGEST_TEXT = 5_000_000  # characters; forty times what the longest row of tokens can hold


@dataclass(frozen=True)
class Conversation:
    """The turns, and the tools that may be called in them, each as its JSON schema."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Pair:
    """Two answers to the same; of both only what differs is learned from."""

    chosen: Conversation
    rejected: Conversation


@dataclass(frozen=True)
class PlainText:
    """Text without turns: all of it is learned, and no chat template is needed."""

    text: str


class RowProblem(Exception):
    """What is wrong with one row, as the rest of a sentence that begins with where it stands."""


def text(value: Any, what: str) -> str:
    """A text that is not empty; else RowProblem."""
    if not isinstance(value, str):
        raise RowProblem(f"{what} is {kind(value)} where text is needed")
    if not value.strip():
        raise RowProblem(f"{what} is empty")
    if len(value) > LONGEST_TEXT:
        raise RowProblem(f"{what} is longer than {LONGEST_TEXT:,} characters")
    if LONE_SURROGATE.search(value):
        raise RowProblem(f"{what} holds half a character (a lone surrogate such as \\ud800)")
    return value


def kind(value: Any) -> str:
    """What a value is, in words."""
    return KINDS.get(type(value).__name__, f"a {type(value).__name__}")


def turn_name(messages: list[Message], place: int) -> str:
    """`assistant turn 2`: counted by who speaks, for the recipe may have put a system turn before them."""
    role = messages[place]["role"]
    return f"{role} turn {sum(message['role'] == role for message in messages[: place + 1])}"
