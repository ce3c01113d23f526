"""The system prompt of a source, given to its conversations: to those that have none, or to all of them."""

from dataclasses import replace
from typing import Literal

from core.data.conversation import Conversation


def with_system_prompt(conversation: Conversation, prompt: str | None, mode: Literal["add", "replace"]) -> Conversation:
    """`add` leaves a conversation with a system message as it is; `replace` takes every such message out first."""
    others = [message for message in conversation.messages if message["role"] != "system"]
    if not prompt or (mode == "add" and len(others) < len(conversation.messages)):
        return conversation
    return replace(conversation, messages=[{"role": "system", "content": prompt}, *others])
