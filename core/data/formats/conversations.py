"""The `conversations` layout of ShareGPT and FineTome: `{"conversations": [{"from": "human", "value": "…"}, …]}`."""

from typing import Any

from core.data.conversation import Message, RowProblem, checked

NAME = "conversations"
TITLE = "conversations with from and value"
COLUMNS = {"conversations": "conversations"}
HELP = {"conversations": "The column with a list of turns, each with from and value."}
REQUIRED = ("conversations",)
ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
}


def conversation(row: dict[str, Any], columns: dict[str, str]) -> list[Message]:
    """The row's messages; raises RowProblem."""
    turns = row[columns["conversations"]]
    if not isinstance(turns, list):
        raise RowProblem(f"the column `{columns['conversations']}` is not a list of turns")
    return checked([_message(turn) for turn in turns], columns["conversations"])


def _message(turn: Any) -> Any:
    if not isinstance(turn, dict):
        return turn
    speaker = turn.get("from")
    known = ROLES.get(speaker, speaker) if isinstance(speaker, str) else speaker
    return {"role": known, "content": turn.get("value")}
