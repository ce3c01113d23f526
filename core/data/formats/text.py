"""The `text` layout: plain text without turns, such as articles or code; all of it is learned."""

from typing import Any

from core.data.conversation import PlainText, text

NAME = "text"
TITLE = "plain text, learned as it stands"
COLUMNS = {"text": "text"}
HELP = {"text": "The column with the text. All of it is learned, without turns."}
REQUIRED = ("text",)
ANSWER = None
# Beside one of these the text is a question, and what is to be learned stands there.
ANSWERS = {"answer", "answers", "label", "labels", "class", "target", "output", "response", "completion"}
# Beside these it is one message of many.
MESSAGES = {"role", "parent_id"}


def recognised(names: list[str], columns: dict[str, str]) -> bool:
    """Whether nothing beside the text looks like an answer, or like who says it; a column that was named is meant."""
    return columns["text"] != COLUMNS["text"] or not (ANSWERS | MESSAGES) & {name.lower() for name in names}


def conversation(row: dict[str, Any], columns: dict[str, str]) -> PlainText:
    """The row's text; raises RowProblem."""
    return PlainText(text(row[columns["text"]], f"the column `{columns['text']}`"))
