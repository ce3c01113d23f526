"""The `template` layout: a prompt that the person writes, with columns in braces, and a column with the answer."""

from typing import Any

from core.data.braces import filled
from core.data.checked import exchange
from core.data.conversation import Conversation
from core.data.formats.answer import answer

NAME = "template"
TITLE = "a template of your own"
COLUMNS = {"answer": "answer"}
HELP = {"answer": "The column with the answer that is learned."}
REQUIRED = ("answer",)
ANSWER = "answer"
KEY = "template"  # where the template itself stands beside the names of the columns
EXAMPLE = "{question}\n\n{context}"


def conversation(row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """The filled template as the user's turn, the answer as the assistant's; raises RowProblem."""
    return exchange(filled(columns[KEY], row, "template"), answer(row, columns, ANSWER))
