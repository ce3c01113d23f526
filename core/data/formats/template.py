"""The `template` layout: a prompt that the person writes, with columns in braces, and a column with the answer.

Nothing but a column's name can stand in the braces: the template is filled by a regular expression, not by str.format.
"""

import re
from typing import Any

from core.data.conversation import Message, RowProblem, checked, text
from core.data.passages import passages, written

NAME = "template"
TITLE = "a template of your own"
COLUMNS = {"answer": "answer"}
HELP = {"answer": "The column with the answer that is learned."}
REQUIRED = ("answer",)
KEY = "template"  # where the template itself stands beside the names of the columns
EXAMPLE = "{question}\n\n{context}"
BRACES = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


def placeholders(template: str) -> list[str]:
    """The columns that a template names, each once, in order; doubled braces are plain ones."""
    return list(dict.fromkeys(found[1] for found in BRACES.finditer(template) if found[1]))


def conversation(row: dict[str, Any], columns: dict[str, str]) -> list[Message]:
    """The filled template as the user's turn, the answer as the assistant's; raises RowProblem."""
    template = columns[KEY]
    values = {name: passages(row[name], f"the column `{name}`") for name in placeholders(template)}
    if not any(value.strip() for value in values.values()):
        raise RowProblem("every column that the template names is empty")
    # One pass: braces inside a value stay as they are.
    prompt = BRACES.sub(lambda found: values[found[1]] if found[1] else found[0][0], template)
    answer = text(written(row[columns["answer"]]), f"the column `{columns['answer']}`")
    return checked([{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}], "answer")
