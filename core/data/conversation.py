"""What a row says: a conversation, checked once, so that everything after it can rely on its form, or plain text."""

import re
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]  # {"role": "system" | "user" | "assistant" | "tool", "content": text}, tool calls beside it
ROLES = ("system", "user", "assistant")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can hold them, no encoding and no tokenizer can
LONGEST_TEXT = 5_000_000  # characters; forty times what the longest row of tokens can hold


@dataclass(frozen=True)
class Conversation:
    """The turns, and the tools that may be called in them, each as its JSON schema."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class PlainText:
    """Text without turns: all of it is learned, and no chat template is needed."""

    text: str


class RowProblem(Exception):
    """What is wrong with one row, as the rest of a sentence that begins with where it stands."""


def checked(messages: Any, column: str) -> list[Message]:
    """The messages, if they are a conversation that can be learned from; else RowProblem."""
    if not isinstance(messages, list) or not messages:
        raise RowProblem(f"the column `{column}` is not a list of messages")
    found = [_message(message, column, number) for number, message in enumerate(messages, 1)]
    if not any(message["role"] == "assistant" for message in found):
        raise RowProblem("has no assistant turn, so there is no answer to learn from")
    if all(message["role"] == "assistant" for message in found):
        raise RowProblem("has only assistant turns; a conversation begins with a user turn")
    return found


def _message(message: Any, column: str, number: int) -> Message:
    if not isinstance(message, dict):
        raise RowProblem(f"message {number} in `{column}` is not an object with role and content")
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise RowProblem(f"message {number} in `{column}` has the role {role!r}; known are {', '.join(ROLES)}")
    return {"role": role, "content": text(content, f"message {number} in `{column}`")}


def text(value: Any, what: str) -> str:
    """A text that is not empty; else RowProblem."""
    if not isinstance(value, str):
        raise RowProblem(f"{what} is {_kind(value)} where text is needed")
    if not value.strip():
        raise RowProblem(f"{what} is empty")
    if len(value) > LONGEST_TEXT:
        raise RowProblem(f"{what} is longer than {LONGEST_TEXT:,} characters")
    if LONE_SURROGATE.search(value):
        raise RowProblem(f"{what} holds half a character (a lone surrogate such as \\ud800)")
    return value


def _kind(value: Any) -> str:
    names = {"NoneType": "missing", "int": "a number", "float": "a number", "list": "a list", "dict": "an object"}
    return names.get(type(value).__name__, f"a {type(value).__name__}")
