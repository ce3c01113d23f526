"""Rows that cannot be used: set aside and counted while they are few, a reason to refuse the source when they are many."""

import re
from dataclasses import dataclass, field

from core.data.readers.row import RawRow
from core.data.report import SourceCount
from core.errors import DataError
from core.recipe_data import Source

SHOWN = 10
REASONS = 20
LONGEST_REASON = 200
PLACE = re.compile(r"\b((?:tool call|tool|message|(?:system|user|assistant|tool) turn)) \d+\b")


@dataclass
class BadRows:
    """The unusable rows of one source; `total` is how many rows it has, if that is known."""

    source: Source
    total: int | None
    counted: SourceCount
    number: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, row: RawRow, problem: str) -> None:
        """Set a row aside; raises DataError as soon as there are too many, whatever follows."""
        told = problem if len(problem) <= LONGEST_REASON else problem[:LONGEST_REASON] + "…"
        self.number += 1
        if len(self.first) < SHOWN:
            self.first.append(f"{row.where}: {told}.")
        # Which turn it is stands with the row; the reason is the same for all.
        reason = PLACE.sub(r"one \1", told)
        # Reasons can name what stands in the row: the report must not grow with the data.
        known = reason in self.counted.dropped or len(self.counted.dropped) < REASONS
        self.counted.dropped[reason if known else "another reason"] += 1
        if self.number >= SHOWN and self._too_many_of(self.total):
            raise DataError(self._refusal())

    def judge(self, rows_read: int) -> None:
        """Raise DataError if more than the allowed share of all rows was set aside."""
        if self.number and self._too_many_of(rows_read):
            raise DataError(self._refusal())

    def _too_many_of(self, rows: int | None) -> bool:
        """With an unknown number of rows only the end tells, unless none at all may be bad."""
        return not self.source.bad_rows or (bool(rows) and self.number / rows > self.source.bad_rows)

    def _refusal(self) -> str:
        if self.number == 1:
            return f"{self.first[0]} Correct or remove the row."
        more = f" These are the first {SHOWN}." if self.number > SHOWN else ""
        return (
            f"{self.source.source} has rows that cannot be used:\n"
            + "\n".join(self.first)
            + f"{more} Correct or remove the rows. At most {self.source.bad_rows:.0%} may be set aside (`bad_rows`)."
        )
