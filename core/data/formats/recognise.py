"""Which layout the rows of a source have, and which of its columns is which."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from core.data.conversation import Conversation, PlainText, RowProblem
from core.data.formats import template
from core.data.formats.table import FORMATS
from core.errors import DataError
from core.recipe_sections import Source

COLUMNS_SHOWN = 20


@dataclass(frozen=True)
class Reading:
    """How the rows of one source are read: its layout, and the layout's names -> the source's columns."""

    source: Source
    layout: ModuleType
    columns: dict[str, str]

    def conversation(self, row: dict[str, Any]) -> Conversation | PlainText:
        """What one row says; raises RowProblem."""
        missing = [column for column in _needed(self.layout, self.columns) if column not in row]
        if missing:
            raise RowProblem(f"has no column {_listed(missing)}")
        return Conversation(self.layout.conversation(row, self.columns))


def reading_of(source: Source, columns: list[str]) -> Reading:
    """How to read a source whose rows have these columns; raises DataError where nothing fits."""
    layout = format_of(source, columns)
    return Reading(source, layout, columns_of(source, layout))


def format_of(source: Source, columns: list[str]) -> ModuleType:
    """The layout a source asks for, or the first whose columns are all there; raises DataError."""
    if problem := template_problem(source):
        raise DataError(problem)
    candidates = _candidates(source)
    for layout in candidates:
        if set(_needed(layout, columns_of(source, layout))) <= set(columns):
            _check_optional(source, layout, columns)
            return layout
    raise DataError(_template_mismatch(source, columns) if candidates == [template] else _mismatch(source, columns))


def columns_of(source: Source, layout: ModuleType) -> dict[str, str]:
    """The layout's names -> this source's columns; for the layout `template` the template too."""
    named = {name: column for name, column in source.columns.items() if name in layout.COLUMNS}
    return layout.COLUMNS | named | ({template.KEY: source.template or ""} if layout is template else {})


def template_problem(source: Source) -> str | None:
    """What is wrong between a source's layout and its template, known before a row is read."""
    if source.layout == template.NAME and not source.template:
        return (
            f"{source.source}: the layout template needs a template. Write one, such as "
            f"{template.EXAMPLE!r}, in the source's `template`."
        )
    if source.template and source.layout not in ("auto", template.NAME):
        return (
            f"{source.source}: the layout {source.layout} does not use a template. Choose the layout template, or "
            "remove the source's `template`."
        )
    if source.template and not template.placeholders(source.template):
        return f"{source.source}: the template names no column. Name at least one, as in {template.EXAMPLE!r}."
    return None


def _candidates(source: Source) -> list[ModuleType]:
    """What may fit: the layout asked for, the template if there is one, else all that know the columns named."""
    if source.layout != "auto":
        return [FORMATS[source.layout]]
    if source.template:
        return [template]
    return [
        layout for layout in FORMATS.values() if layout is not template and set(source.columns) <= {*layout.COLUMNS}
    ]


def _needed(layout: ModuleType, columns: dict[str, str]) -> list[str]:
    """The columns without which a row cannot be read."""
    return [columns[name] for name in layout.REQUIRED] + template.placeholders(columns.get(template.KEY, ""))


def _check_optional(source: Source, layout: ModuleType, columns: list[str]) -> None:
    """A column that was named and is not there would be left out silently."""
    named = [column for name, column in source.columns.items() if name in layout.COLUMNS and column not in columns]
    if named:
        raise DataError(
            f"{source.source}: there is no column {_listed(named)}; there are {_shown(columns)}. Correct `columns`."
        )


def _template_mismatch(source: Source, columns: list[str]) -> str:
    missing = [name for name in _needed(template, columns_of(source, template)) if name not in columns]
    return (
        f"{source.source}: the template and its answer need {_listed(missing)}, and the columns are {_shown(columns)}. "
        "Put one of these names between the braces (double a brace that is meant as one), or name the answer's column in "
        "`columns`."
    )


def _mismatch(source: Source, columns: list[str]) -> str:
    asked = FORMATS.values() if source.layout == "auto" else [FORMATS[source.layout]]
    needs = "; ".join(f"{layout.NAME} needs {_needs(source, layout)}" for layout in asked)
    return (
        f"{source.source}: the columns ({_shown(columns)}) fit no layout: {needs}. Name yours in `columns`, for example "
        "{question: title, answer: body} with layout question_answer, or write a template."
    )


def _needs(source: Source, layout: ModuleType) -> str:
    required = ", ".join(columns_of(source, layout)[name] for name in layout.REQUIRED)
    return f"a template and {required}" if layout is template else required


def _listed(columns: list[str]) -> str:
    return ", ".join(f"`{column}`" for column in dict.fromkeys(columns))


def _shown(columns: list[str]) -> str:
    more = f" and {len(columns) - COLUMNS_SHOWN:,} more" if len(columns) > COLUMNS_SHOWN else ""
    return (", ".join(column[:60] for column in columns[:COLUMNS_SHOWN]) or "none") + more
