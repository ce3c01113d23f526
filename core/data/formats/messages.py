"""The `messages` layout: `{"messages": [{"role": "user", "content": "…"}, …]}`, as most chat data has it today."""

from typing import Any

from core.data.conversation import Message, checked

NAME = "messages"
TITLE = "messages with role and content"
COLUMNS = {"messages": "messages"}
HELP = {"messages": "The column with a list of messages, each with role and content."}
REQUIRED = ("messages",)


def conversation(row: dict[str, Any], columns: dict[str, str]) -> list[Message]:
    """The row's messages; raises RowProblem."""
    return checked(row[columns["messages"]], columns["messages"])
