"""Count what a preparation did, so that nothing is dropped silently: rows read = rows kept + rows dropped."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

BUCKETS = 40


@dataclass
class SourceCount:
    """The counts of one source."""

    source: str
    layout: str
    fingerprint: str
    rows_read: int = 0
    rows: int = 0
    tokens: int = 0
    supervised_tokens: int = 0
    dropped: Counter = field(default_factory=Counter)

    def as_row(self) -> dict[str, Any]:
        return vars(self) | {"dropped": dict(self.dropped)}


@dataclass
class Count:
    """The counts of a whole preparation; `lengths` are in tokens, before the cut; `problems` are the first bad rows of each source."""

    max_length: int
    sources: list[SourceCount] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    cut_rows: int = 0
    cut_supervised_tokens: int = 0

    def report(self, held_out_rows: int) -> dict[str, Any]:
        """The report as the app reads it."""
        rows = sum(source.rows for source in self.sources)
        return {
            "rows_read": sum(source.rows_read for source in self.sources),
            "rows": rows - held_out_rows,
            "held_out_rows": held_out_rows,
            "tokens": sum(source.tokens for source in self.sources),
            "supervised_tokens": sum(source.supervised_tokens for source in self.sources),
            "cut_rows": self.cut_rows,
            "cut_supervised_tokens": self.cut_supervised_tokens,
            "dropped": dict(sum((source.dropped for source in self.sources), Counter())),
            "problems": self.problems,
            "sources": [source.as_row() for source in self.sources],
            "max_length": self.max_length,
        } | _lengths(self.lengths)


def _lengths(lengths: list[int]) -> dict[str, Any]:
    if not lengths:
        return {"lengths": {"edges": [], "counts": []}, "longest": 0, "median": 0, "p95": 0}
    counts, edges = np.histogram(lengths, bins=min(BUCKETS, max(lengths)), range=(0, max(lengths)))
    return {
        "lengths": {"edges": edges.round(1).tolist(), "counts": counts.tolist()},
        "longest": max(lengths),
        "median": int(np.median(lengths)),
        "p95": int(np.percentile(lengths, 95)),
    }
