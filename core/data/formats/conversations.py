"""The `conversations` layout of ShareGPT and FineTome: `{"conversations": [{"from": "human", "value": "…"}, …]}`.

Where turns have role and content instead, they are messages under another name.
"""

from typing import Any

from core.data.checked import checked, listed
from core.data.conversation import Conversation, RowProblem
from core.data.system_prompt import COLUMN, COLUMN_HELP
from core.data.tool_calls import tools

NAME = "conversations"
TITLE = "conversations with from and value"
COLUMNS = {"conversations": "conversations", "tools": "tools"} | COLUMN
HELP = {
    "conversations": "The column with a list of turns, each with from and value.",
    "tools": "The column with the tools that may be called, as JSON schemas. It may be missing.",
} | COLUMN_HELP
REQUIRED = ("conversations",)
ANSWER = None
ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "observation": "tool",
    "tool": "tool",
}


def conversation(row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """The row's turns as messages, and its tools; raises RowProblem."""
    column = columns["conversations"]
    turns = listed(row[column], f"the column `{column}`")
    if not isinstance(turns, list):
        raise RowProblem(f"the column `{column}` is not a list of turns")
    found = checked([_message(turn) for turn in turns], column)
    return Conversation(found, tools(row.get(columns["tools"]), f"the column `{columns['tools']}`"))


def _message(turn: Any) -> Any:
    if not isinstance(turn, dict):
        return turn
    if turn.get("from") is None and isinstance(turn.get("role"), str):
        return turn | {"role": ROLES.get(turn["role"], turn["role"])}
    speaker, value = turn.get("from"), turn.get("value")
    if speaker == "function_call":
        return turn | {"role": "assistant", "tool_calls": value}
    known = ROLES.get(speaker, speaker) if isinstance(speaker, str) else speaker
    # What else a turn says stays: SlimOrca's has a `weight`, 0 where an answer is not learned.
    return turn | {"role": known, "content": value}
