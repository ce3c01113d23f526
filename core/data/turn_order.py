"""Whether the turns of a conversation are in order: question, answer, question, answer, with tools in between."""

from collections.abc import Iterable

from core.data.conversation import Message

# Who may speak after whom; a call is an assistant's turn with `tool_calls`, of which there may be several in a row.
AFTER = {
    "system": {"system", "user"},
    "user": {"assistant"},
    "assistant": {"user", "tool"},
    "call": {"user", "tool", "assistant"},
    "tool": {"tool", "assistant"},
}
LAST = {"assistant", "call"}


def is_broken(messages: Iterable[Message]) -> bool:
    """Two questions or two answers in a row, an answer first, a question last, a system turn in the middle."""
    before = "system"
    for message in messages:
        if message["role"] not in AFTER[before]:
            return True
        before = "call" if message.get("tool_calls") else message["role"]
    return before not in LAST
