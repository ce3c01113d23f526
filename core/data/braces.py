"""Text with columns in braces, as the person writes it for prompts and answers; doubled braces are plain ones.

Nothing but a column's name can stand in the braces: they are filled by a regular expression, not by str.format.
"""

import re
from typing import Any

from core.data.conversation import RowProblem
from core.data.passages import passages

LISTED = 5
BRACES = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


def placeholders(template: str) -> list[str]:
    """The columns that a template names, each once, in order."""
    return list(dict.fromkeys(found[1] for found in BRACES.finditer(template) if found[1]))


def filled(template: str, row: dict[str, Any], what: str) -> str:
    """The template with the row's values in place; raises RowProblem where all of them are empty."""
    values = {name: passages(row[name], f"the column `{name}`") for name in placeholders(template)}
    if not any(value.strip() for value in values.values()):
        raise RowProblem(f"every column that the {what} names is empty ({listed(list(values))})")
    return put_in(template, values)


def listed(columns: list[str]) -> str:
    """The names of some columns, or of the first of many."""
    more = ", …" if len(columns) > LISTED else ""
    return ", ".join(f"`{column}`" for column in columns[:LISTED]) + more


def put_in(template: str, values: dict[str, str]) -> str:
    """The template with these values in place, in one pass: braces inside a value stay as they are."""
    return BRACES.sub(lambda found: values[found[1]] if found[1] else found[0][0], template)
