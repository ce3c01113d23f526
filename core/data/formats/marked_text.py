"""The `marked_text` layout: a whole conversation as one text, with marks such as `### Human:` or ChatML's."""

from typing import Any

from core.data.checked import checked
from core.data.conversation import Conversation, text
from core.data.formats.marks import marked_turns

NAME = "marked_text"
TITLE = "text with ### Human and ### Assistant, or ChatML"
COLUMNS = {"text": "text"}
HELP = {
    "text": "The column with the conversation as one text, a mark before each turn. A question at its end "
    "without an answer is not read."
}
REQUIRED = ("text",)
ANSWER = None


def conversation(row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """The turns between the marks; raises RowProblem."""
    column = columns["text"]
    return Conversation(checked(marked_turns(text(row[column], f"the column `{column}`"), column), column))
