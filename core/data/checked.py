"""Messages as rows have them, checked once: everything after this relies on their form. Keys nobody knows are left out."""

import reprlib
from typing import Any

from core.data.conversation import LONGEST_TEXT, SIMPLE, Conversation, Message, RowProblem, text
from core.data.json_value import json_value
from core.data.tool_calls import tool_calls

ROLES = ("system", "user", "assistant", "tool")
OTHER_NAMES = {"developer": "system", "function": "tool"}  # OpenAI's newer and older ones, which no chat template knows
# A chat template writes the whole conversation anew for each turn that is learned: the time grows with the square.
MOST_MESSAGES = 2_000
NAMES = ("tool_call_id", "name")  # short texts beside the content, where a message has them
REASONING = ("reasoning_content", "thinking", "reasoning")  # one thing under three names; templates read the first


def checked(messages: Any, column: str) -> list[Message]:
    """The messages, if they are a conversation that can be learned from; else RowProblem."""
    if not isinstance(messages, list) or not messages:
        raise RowProblem(f"the column `{column}` is not a list of messages")
    if len(messages) > MOST_MESSAGES:
        raise RowProblem(
            f"the column `{column}` holds {len(messages):,} messages, and {MOST_MESSAGES:,} at most are read"
        )
    found = [
        _message(message, f"message {number} in `{column}`")
        for number, message in enumerate(messages, 1)
        if not _says_nothing(message)
    ]
    if sum(len(message["content"]) for message in found) > LONGEST_TEXT:
        raise RowProblem(f"the column `{column}` holds more than {LONGEST_TEXT:,} characters in all")
    if not any(message["role"] == "assistant" for message in found):
        raise RowProblem(f"the column `{column}` has no assistant turn, so there is no answer to learn from")
    if all(message["role"] == "assistant" for message in found):
        raise RowProblem(f"the column `{column}` has only assistant turns; a conversation begins with a user turn")
    if not any(is_learned(message) for message in found):
        raise RowProblem(
            f"the column `{column}` has only assistant turns of weight 0, so there is no answer to learn from"
        )
    return found


def listed(value: Any, what: str) -> Any:
    """A list that stands in a cell as JSON text, as tables have it; anything else as it is. Raises RowProblem."""
    return json_value(value, what) if isinstance(value, str) and value.lstrip().startswith("[") else value


def is_learned(message: Message) -> bool:
    """Whether this is an assistant's turn that is trained on: all are, but for those of weight 0."""
    return message["role"] == "assistant" and message.get("weight") != 0


def read_only(messages: list[Message]) -> list[Message]:
    """The same turns, none of which is trained on."""
    return [message | {"weight": 0} if message["role"] == "assistant" else message for message in messages]


def exchange(question: str, answer: str) -> Conversation:
    """One question and its answer."""
    return Conversation(
        checked([{"role": "user", "content": question}, {"role": "assistant", "content": answer}], "answer")
    )


def turns(value: Any, role: str, what: str) -> list[Any]:
    """A list of messages as it is, unchecked, or a text as the one turn of `role`; raises RowProblem."""
    found = unpacked(value)
    return found if isinstance(found, list) else [{"role": role, "content": text(found, what)}]


def unpacked(value: Any) -> Any:
    """The messages of a cell that holds them as JSON text, as tables do; anything else as it is, other JSON too."""
    try:
        found = listed(value, "the cell")
    except RowProblem:  # a text that begins with a bracket
        return value
    said = isinstance(found, list) and found and all(isinstance(one, dict) and one.keys() >= SIMPLE for one in found)
    return found if said else value


def _says_nothing(message: Any) -> bool:
    """Whether this is an empty system turn, as data has it that was written for templates which want one."""
    if not isinstance(message, dict) or message.get("role") not in ("system", "developer"):
        return False
    content = message.get("content")
    return content is None or (isinstance(content, str) and not content.strip())


def _message(message: Any, what: str) -> Message:
    if not isinstance(message, dict):
        raise RowProblem(f"{what} is not an object with role and content")
    role = _role(message, what)
    calls = tool_calls(message.get("tool_calls") or message.get("function_call"), what)
    if calls and role != "assistant":
        raise RowProblem(f"{what} calls a tool, which only an assistant's can do")
    found = {
        "role": role,
        "content": _content(message.get("content"), what, may_be_empty=bool(calls) or role == "tool"),
    }
    if calls:
        found["tool_calls"] = calls
    if role == "assistant":
        found |= _reasoning(message, what) | _weight(message, what)
    return found | _names(message, what)


def _role(message: dict[str, Any], what: str) -> str:
    role = message.get("role")
    known = OTHER_NAMES.get(role, role) if isinstance(role, str) else role
    if known not in ROLES:
        # reprlib: what stands there may be nested too deeply for repr.
        raise RowProblem(f"{what} has the role {reprlib.repr(role)}; known are {', '.join(ROLES)}")
    return known


def _content(value: Any, what: str, may_be_empty: bool) -> str:
    """A call needs no words, and a tool may have nothing to say."""
    if may_be_empty and (value is None or (isinstance(value, str) and not value.strip())):
        return ""
    return text(_joined(value, what) if _is_in_parts(value) else value, what)


def _is_in_parts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(part, dict) and "type" in part for part in value)


def _joined(parts: list[Any], what: str) -> str:
    """The texts of a content in parts, as models that also see have it: `[{"type": "text", "text": "…"}]`."""
    other = next((part["type"] for part in parts if part["type"] != "text"), "text")
    if other != "text":
        raise RowProblem(f"{what} has a part of the kind {reprlib.repr(other)}; only parts that are text are read")
    return "\n\n".join(text(part.get("text"), f"a part of {what}") for part in parts)


def _names(message: dict[str, Any], what: str) -> dict[str, str]:
    return {key: text(message[key], f"`{key}` of {what}") for key in NAMES if message.get(key) not in (None, "")}


def _reasoning(message: dict[str, Any], what: str) -> dict[str, str]:
    """What the assistant thought before it answered; what is no text is left out."""
    thoughts = (message.get(key) for key in REASONING)
    found = next((thought for thought in thoughts if isinstance(thought, str) and thought.strip()), None)
    return {"reasoning_content": text(found, f"`reasoning_content` of {what}")} if found else {}


def _weight(message: dict[str, Any], what: str) -> dict[str, int]:
    """Of weight 0 is an answer that is read and not learned, as in OpenAI's data; 1 is what all have without saying so."""
    weight = message.get("weight")
    if weight not in (None, 0, 1):
        raise RowProblem(f"`weight` of {what} is {reprlib.repr(weight)}; known are 0 (not learned) and 1")
    return {"weight": 0} if weight == 0 else {}
