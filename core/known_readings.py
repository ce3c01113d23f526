"""How the data sets of the catalog are read, for a file that has the same columns."""

from typing import Any

from core import catalog
from core.data.formats.columns import columns_of, needed
from core.data.formats.table import FORMATS
from core.presets import Dataset
from core.recipe_data import Source

FIELDS = ("layout", "columns", "template", "answer_template")


def known_readings(columns: list[str]) -> dict[str, dict[str, Any]]:
    """Name -> fields of a source, for each known data set whose columns are all here and which says more than they do."""
    every = [(known, task) for known in catalog.datasets() for task in known.tasks or [None]]
    asked = {_name(known, task): Source(**known.as_source(task)) for known, task in every}
    return {
        name: reading_fields(source)
        for name, source in asked.items()
        if _needed(source) <= set(columns) and _says_more(source)
    }


def reading_fields(source: Source) -> dict[str, Any]:
    """What says how its rows are read."""
    return {field: getattr(source, field) for field in FIELDS}


def _name(known: Dataset, task: str | None) -> str:
    return known.name + (f" · {known.tasks[task].name}" if task else "")


def _needed(source: Source) -> set[str]:
    layout = FORMATS[source.layout]
    return {*needed(layout, columns_of(source, layout)), *source.columns.values()}


def _says_more(source: Source) -> bool:
    """Whether there is something that cannot be recognised by the columns' names."""
    named = any(part != column for part, column in source.columns.items())
    return bool(named or source.template or source.answer_template)
