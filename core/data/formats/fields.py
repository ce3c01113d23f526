"""The `fields` layout: every column under its name, as tables have them whose columns differ from task to task."""

from collections.abc import Iterable
from typing import Any

from core.data.braces import listed, placeholders
from core.data.checked import exchange
from core.data.conversation import Conversation, RowProblem
from core.data.formats.answer import KEY, answer
from core.data.passages import passages

NAME = "fields"
TITLE = "all columns, each under its name"
COLUMNS = {"answer": "answer"}
HELP = {
    "answer": "The column with the answer that is learned. All others are the question, but for row numbers and ids."
}
REQUIRED = ("answer",)
ANSWER = "answer"
# "column 1" is what a data frame's row numbers are called after reading.
BOOKKEEPING = {"id", "idx", "index", "uuid", "slice", "split", "column 1", "unnamed: 0", "__index_level_0__"}


def recognised(names: list[str], columns: dict[str, str]) -> bool:
    """Whether there is something to ask beside the answer."""
    return bool(_asked(names, columns))


def conversation(row: dict[str, Any], columns: dict[str, str]) -> Conversation:
    """`Name: value` for each column that holds something as the user's turn, the answer as the assistant's."""
    found = {name: passages(row[name], f"the column `{name}`") for name in _asked(row, columns)}
    question = "\n\n".join(f"{_title(name)}: {value}" for name, value in found.items() if value.strip())
    if not question:
        raise RowProblem(
            f"every column beside the answer is empty ({listed(list(found))})" if found else "has only an answer"
        )
    return exchange(question, answer(row, columns, ANSWER))


def _asked(names: Iterable[str], columns: dict[str, str]) -> list[str]:
    """The columns of the question: what the answer is put together from would give it away."""
    answers = {columns["answer"], *placeholders(columns.get(KEY, ""))}
    return [name for name in names if name not in answers and not _is_bookkeeping(name.lower())]


def _is_bookkeeping(name: str) -> bool:
    return name in BOOKKEEPING or name.endswith("_id")


def _title(name: str) -> str:
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]
