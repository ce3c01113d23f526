"""The `messages` layout: `{"messages": [{"role": "user", "content": "…"}, …]}`, as most chat data has it today."""

from typing import Any

from core.data.checked import checked, listed
from core.data.conversation import Conversation
from core.data.system_prompt import COLUMN, COLUMN_HELP
from core.data.tool_calls import tools

NAME = "messages"
TITLE = "messages with role and content"
COLUMNS = {"messages": "messages", "tools": "tools"} | COLUMN
HELP = {
    "messages": "The column with a list of messages, each with role and content.",
    "tools": "The column with the tools that may be called, as JSON schemas. It may be missing.",
} | COLUMN_HELP
REQUIRED = ("messages",)
ANSWER = None


def conversation(row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """The row's messages and tools; raises RowProblem."""
    column = columns["messages"]
    found = checked(listed(row[column], f"the column `{column}`"), column)
    return Conversation(found, tools(row.get(columns["tools"]), f"the column `{columns['tools']}`"))
