"""The answer of a row, for every layout that has one: a column, or text put together from several by a template."""

from typing import Any

from core.data.braces import filled
from core.data.conversation import text
from core.data.passages import written

KEY = "answer_template"  # where the template stands beside the names of the columns


def answer(row: dict[str, Any], columns: dict[str, str], name: str = "answer") -> str:
    """The filled answer template if there is one, else what stands in the column of the layout's `name`.

    Raises RowProblem.
    """
    if KEY in columns:
        return text(filled(columns[KEY], row, "answer template"), "the answer")
    return text(written(row[columns[name]]), f"the column `{columns[name]}`")
