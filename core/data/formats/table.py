"""Every layout, one line each. A layout is a module with NAME, COLUMNS, REQUIRED and `conversation(row, columns)`."""

from types import ModuleType
from typing import Any

from core.data.conversation import Message, RowProblem
from core.data.formats import alpaca, conversations, messages
from core.errors import DataError
from core.recipe_sections import Source

FORMATS: dict[str, ModuleType] = {layout.NAME: layout for layout in (messages, conversations, alpaca)}


def format_of(source: Source, columns: list[str]) -> ModuleType:
    """The layout a source asks for, or the first whose required columns are all there; raises DataError."""
    wanted = list(FORMATS.values()) if source.layout == "auto" else [FORMATS[source.layout]]
    for layout in wanted:
        mapped = columns_of(source, layout)
        if all(mapped[name] in columns for name in layout.REQUIRED):
            return layout
    raise DataError(_mismatch(source, wanted, columns))


def columns_of(source: Source, layout: ModuleType) -> dict[str, str]:
    """The layout's column names -> this source's."""
    return layout.COLUMNS | {name: column for name, column in source.columns.items() if name in layout.COLUMNS}


def conversation_of(row: dict[str, Any], layout: ModuleType, columns: dict[str, str]) -> list[Message]:
    """One row as messages; raises RowProblem."""
    missing = [columns[name] for name in layout.REQUIRED if columns[name] not in row]
    if missing:
        raise RowProblem(f"has no column {', '.join(f'`{name}`' for name in missing)}")
    return layout.conversation(row, columns)


def _mismatch(source: Source, wanted: list[ModuleType], columns: list[str]) -> str:
    needs = "; ".join(
        f"{layout.NAME} needs {', '.join(columns_of(source, layout)[n] for n in layout.REQUIRED)}" for layout in wanted
    )
    shown = ", ".join(columns[:20]) or "none"
    return (
        f"{source.source}: the columns ({shown}) fit no layout: {needs}. Name yours in `columns`, for example "
        "{instruction: question, output: answer} with layout alpaca."
    )
