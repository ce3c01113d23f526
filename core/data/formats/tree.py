"""The `tree` layout of OpenAssistant: each row is one message, with its own id and that of the message it answers.

`core.data.trees` puts them together before they are read: the columns then hold lists, a value for each message.
"""

from typing import Any

from core.data.checked import checked
from core.data.conversation import Conversation, RowProblem

NAME = "tree"
TITLE = "single messages that answer each other"
COLUMNS = {"message_id": "message_id", "parent_id": "parent_id", "role": "role", "text": "text"}
HELP = {
    "message_id": "The column with the id of the message.",
    "parent_id": "The column with the id of the message that it answers, empty for the first of a conversation.",
    "role": "The column that says who speaks: prompter or user, assistant, system.",
    "text": "The column with what is said. Of several answers the best ranked (`rank`) is learned, the others are not used.",
}
REQUIRED = tuple(COLUMNS)
ANSWER = None
ROLES = {"prompter": "user"}


def conversation(row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """The messages from the first to the last answer; raises RowProblem."""
    column = columns["text"]
    roles, texts = row[columns["role"]], row[column]
    if not (isinstance(roles, list) and isinstance(texts, list)) or len(roles) != len(texts):
        raise RowProblem(f"the column `{column}` holds no messages that were put together")
    known = [ROLES.get(role, role) if isinstance(role, str) else role for role in roles]
    found = [{"role": role, "content": said} for role, said in zip(known, texts, strict=True)]
    # What stands after the last answer asks for one that nobody gave.
    while "assistant" in known and known[-1] != "assistant":
        known.pop()
    return Conversation(checked(found[: len(known)], column))
