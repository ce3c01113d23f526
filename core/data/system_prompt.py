"""The system prompt of a conversation: of its row's own column, or the source's, given to those without one, or to all."""

from dataclasses import replace
from typing import Any, Literal

from core.data.conversation import Conversation, text

# What layouts have whose rows may bring a system prompt beside the turns.
COLUMN = {"system": "system"}
COLUMN_HELP = {"system": "The column with each row's own system prompt. It may be missing; what is no text is none."}


def with_own(conversation: Conversation, row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """With the system prompt of its row's column, unless one stands among its turns; raises RowProblem."""
    column = columns.get("system", "")
    own = row.get(column)
    if not isinstance(own, str) or not own.strip():
        return conversation
    return with_system_prompt(conversation, text(own, f"the column `{column}`"), "add")


def with_system_prompt(conversation: Conversation, prompt: str | None, mode: Literal["add", "replace"]) -> Conversation:
    """`add` leaves a conversation with a system message as it is; `replace` takes every such message out first."""
    others = [message for message in conversation.messages if message["role"] != "system"]
    if not prompt or (mode == "add" and len(others) < len(conversation.messages)):
        return conversation
    return replace(conversation, messages=[{"role": "system", "content": prompt}, *others])
