"""Why a source and a layout do not go together: one sentence each, with what to do."""

from types import ModuleType

from core.data.braces import placeholders
from core.data.formats import template
from core.data.formats.columns import columns_of, needed
from core.data.formats.table import FORMATS
from core.data.readers.row import printable
from core.recipe_data import Source

COLUMNS_SHOWN = 20


def template_problem(source: Source) -> str | None:
    """What is wrong between a source's layout, its templates and the names in its `columns`, known before a row is read."""
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
    if source.answer_template and source.layout != "auto" and FORMATS[source.layout].ANSWER is None:
        return (
            f"{source.source}: the layout {source.layout} has no answer's column, so it does not use an answer template. "
            "Choose another layout, or remove the source's `answer_template`."
        )
    known = list(dict.fromkeys(name for layout in FORMATS.values() for name in layout.COLUMNS))
    if unknown := [name for name in source.columns if name not in known]:
        return (
            f"{source.source}: no layout has a part called {listed(unknown)}; there are {listed(known)}. Correct the names in "
            "`columns`, each before the column that it means."
        )
    for name, text in (("template", source.template), ("answer template", source.answer_template)):
        if text and not placeholders(text):
            return f"{source.source}: the {name} names no column. Name at least one, as in {template.EXAMPLE!r}."
    return None


def misfit(source: Source, candidates: list[ModuleType], columns: list[str]) -> str:
    """Why none of the layouts that were meant can read these columns."""
    if candidates == [template]:
        return _not_there(
            source, "template and its answer need", needed(template, columns_of(source, template)), columns
        )
    in_answer = placeholders(source.answer_template or "")
    if not set(in_answer) <= set(columns):
        return _not_there(source, "answer template needs", in_answer, columns)
    asked = FORMATS.values() if source.layout == "auto" else [FORMATS[source.layout]]
    needs = "; ".join(f"{layout.NAME} needs {_needs(source, layout)}" for layout in asked)
    return (
        f"{source.source}: the columns ({_shown(columns)}) fit no layout: {needs}. Name yours in `columns`, for example "
        "{question: title, answer: body} with layout question_answer, or write a template."
    )


def unknown_column(source: Source, layout: ModuleType, columns: list[str]) -> str | None:
    """A column that was named and is not there, which would be left out silently."""
    named = [column for name, column in source.columns.items() if name in layout.COLUMNS and column not in columns]
    if not named:
        return None
    return f"{source.source}: there is no column {listed(named)}; there are {_shown(columns)}. Correct `columns`."


def listed(columns: list[str]) -> str:
    return ", ".join(f"`{column}`" for column in dict.fromkeys(columns))


def _not_there(source: Source, what: str, wanted: list[str], columns: list[str]) -> str:
    missing = [name for name in wanted if name not in columns]
    return (
        f"{source.source}: the {what} {listed(missing)}, and the columns are {_shown(columns)}. "
        "Put one of these names between the braces (double a brace that is meant as one), or name the answer's column in "
        "`columns`."
    )


def _needs(source: Source, layout: ModuleType) -> str:
    required = ", ".join(columns_of(source, layout)[name] for name in layout.REQUIRED)
    return f"a template and {required}" if layout is template else required


def _shown(columns: list[str]) -> str:
    more = f" and {len(columns) - COLUMNS_SHOWN:,} more" if len(columns) > COLUMNS_SHOWN else ""
    return (", ".join(printable(column[:60]) for column in columns[:COLUMNS_SHOWN]) or "none") + more
