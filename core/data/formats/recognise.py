"""Which layout the rows of a source have: by its columns and, where some rows are at hand, by how many can be read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from core.data.conversation import Conversation, Pair, PlainText, RowProblem
from core.data.formats import template
from core.data.formats.columns import columns_of, needed
from core.data.formats.misfit import listed, misfit, template_problem, unknown_column
from core.data.formats.table import BY_ROWS, FORMATS, LAST_RESORTS
from core.data.system_prompt import with_own, with_system_prompt
from core.errors import DataError
from core.recipe_data import Source

Rows = Sequence[dict[str, Any]]
CONVINCING = 0.5  # with this share of the rows read, no last resort is looked at


@dataclass(frozen=True)
class Reading:
    """How the rows of one source are read: its layout, and the layout's names -> the source's columns.

    `confidence` is the share of the rows at hand that can be read so; 1 where there were none.
    """

    source: Source
    layout: ModuleType
    columns: dict[str, str]
    confidence: float = 1.0

    def conversation(self, row: dict[str, Any]) -> Conversation | PlainText:
        """What one row says, its own system prompt or the source's included; raises RowProblem."""
        self._check_columns(row)
        said = self.layout.conversation(row, self.columns)
        return said if isinstance(said, PlainText) else self._with_system_prompt(said, row)

    def pair(self, row: dict[str, Any]) -> Pair:
        """Both answers of one row of a layout that has two; raises RowProblem."""
        self._check_columns(row)
        found = self.layout.pair(row, self.columns)
        return Pair(*(self._with_system_prompt(said, row) for said in (found.chosen, found.rejected)))

    def _check_columns(self, row: dict[str, Any]) -> None:
        missing = [column for column in needed(self.layout, self.columns) if column not in row]
        if missing:
            raise RowProblem(f"has no column {listed(missing)}")

    def _with_system_prompt(self, said: Conversation, row: dict[str, Any]) -> Conversation:
        own = with_own(said, row, self.columns)
        return with_system_prompt(own, self.source.system, self.source.system_mode)

    def share(self, sample: Rows) -> float:
        """The share of these rows that can be read; 1 of none."""
        return sum(self._reads(row) for row in sample) / len(sample) if sample else 1.0

    def _reads(self, row: dict[str, Any]) -> bool:
        try:
            self.conversation(row)
        except RowProblem:
            return False
        return True


def reading_of(source: Source, columns: list[str], sample: Rows = ()) -> Reading:
    """How to read a source whose rows have these columns, some of which are the sample.

    Raises DataError where nothing fits.
    """
    layout = format_of(source, columns, sample)
    reading = _reading(source, layout)
    return replace(reading, confidence=reading.share(sample))


def format_of(source: Source, columns: list[str], sample: Rows = ()) -> ModuleType:
    """The layout a source asks for, or of those whose columns are all there the one that reads most of the sample.

    Without a sample it is the first in the table's order. Raises DataError.
    """
    if problem := template_problem(source):
        raise DataError(problem)
    candidates = _candidates(source)
    fitting = [layout for layout in candidates if _fits(source, layout, columns, sample)]
    if not fitting:
        raise DataError(misfit(source, candidates, columns))
    layout = _most_read(source, fitting, sample) if sample and len(fitting) > 1 else fitting[0]
    if problem := unknown_column(source, layout, columns):
        raise DataError(problem)
    return layout


def _candidates(source: Source) -> list[ModuleType]:
    """What may fit: the layout asked for, the template if there is one, else all that know what the person named."""
    if source.layout != "auto":
        return [FORMATS[source.layout]]
    if source.template:
        return [template]
    return [
        layout
        for layout in FORMATS.values()
        if layout is not template
        and set(source.columns) <= {*layout.COLUMNS}
        and (layout.ANSWER or not source.answer_template)
    ]


def _fits(source: Source, layout: ModuleType, columns: list[str], sample: Rows) -> bool:
    """Whether the needed columns are there and, where the layout was not asked for, what else it is recognised by."""
    mapped = columns_of(source, layout)
    if not set(needed(layout, mapped)) <= set(columns):
        return False
    if source.layout == "auto" and layout in LAST_RESORTS:
        return layout.recognised(columns, mapped)
    if source.layout == "auto" and layout in BY_ROWS:
        return bool(sample) and _reading(source, layout).share(sample) > 0
    return True


def _most_read(source: Source, fitting: list[ModuleType], sample: Rows) -> ModuleType:
    """The first of those that read most rows; a last resort, which reads nearly everything, only if the others fail."""
    shares = {layout: _reading(source, layout).share(sample) for layout in fitting}
    proper = [layout for layout in fitting if layout not in LAST_RESORTS]
    best = max(proper, key=shares.get, default=None)
    return best if best and shares[best] >= CONVINCING else max(fitting, key=shares.get)


def _reading(source: Source, layout: ModuleType) -> Reading:
    return Reading(source, layout, columns_of(source, layout))
