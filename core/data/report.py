"""Count what a preparation did. Rows read = set aside + dropped + left out by the mix + held out + trained on, for each source."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from core.data.fates import DROPPED, WORDS, Cleaned, Fate
from core.data.lengths import Lengths, lengths_of
from core.recipe import Recipe

BUCKETS = 40
EXAMPLES = 5
EXAMPLE_CHARACTERS = 200


@dataclass
class SourceCount:
    """What was read of one source: `dropped` counts the rows set aside by reason, `problems` names the first of them."""

    source: str
    layout: str
    fingerprint: str
    confidence: float = 1.0
    rows_read: int = 0
    dropped: Counter = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def as_row(self) -> dict[str, Any]:
        return vars(self) | {"dropped": dict(self.dropped)}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "SourceCount":
        return cls(**row | {"dropped": Counter(row["dropped"])})


@dataclass(frozen=True)
class Report:
    """Everything that was decided: `train` are positions in the pool, each as often as it is seen in an epoch."""

    recipe: Recipe
    counts: list[SourceCount]
    cleaned: Cleaned
    train: np.ndarray

    def as_dict(self) -> dict[str, Any]:
        """The report as the app reads it; `core.data.preview.Prepared.report` says what is in it."""
        sources = [self._source(number) for number in range(len(self.counts))]
        totals = ("rows_read", "rows", "distinct_rows", "held_out_rows", "left_out", "tokens", "supervised_tokens")
        return (
            {name: sum(source[name] for source in sources) for name in totals}
            | self._cut()
            | {
                "dropped": dict(sum((Counter(source["dropped"]) for source in sources), Counter())),
                "kept_from_held_out": self.cleaned.kept_from_held_out,
                "problems": [problem for counted in self.counts for problem in counted.problems],
                "examples": {fate.words: found for fate in DROPPED if (found := self._examples(fate))},
                "fates": [WORDS[fate] for fate in Fate],
                "sources": sources,
                "pairs": self.recipe.objective.pairs,
                "max_length": self.recipe.data.max_length,
            }
            | _lengths(self._lengths.longest)
        )

    @property
    def _pool(self):
        return self.cleaned.pool

    def _source(self, number: int) -> dict[str, Any]:
        """The counts of one source; `usable_…` counts each row once that the mix could take."""
        asked, counted = self.recipe.data.sources[number], self.counts[number]
        of_source = slice(self._pool.starts[number], self._pool.starts[number + 1])
        fates = self.cleaned.fates[of_source]
        train = self.train[(self.train >= of_source.start) & (self.train < of_source.stop)]
        usable = np.flatnonzero((fates == Fate.TRAINED) | (fates == Fate.NOT_DRAWN))
        held_out = int((fates == Fate.HELD_OUT).sum())
        dropped = Counter({WORDS[fate]: int((fates == fate).sum()) for fate in DROPPED})
        return {
            "source": counted.source,
            "config": asked.config,
            "layout": counted.layout,
            "confidence": counted.confidence,
            "fingerprint": counted.fingerprint,
            "key": self._pool.sources[number].files.folder.name,
            "use": asked.use,
            "rows_read": counted.rows_read,
            "dropped": dict(counted.dropped + dropped),
            "held_out_rows": held_out,
            "usable_rows": len(usable),
            "usable_tokens": _sum(self._lengths.kept, usable + of_source.start),
            "usable_supervised_tokens": _sum(self._supervised, usable + of_source.start),
            "left_out": int((fates == Fate.NOT_DRAWN).sum()),
            "rows": len(train),
            "distinct_rows": len(np.unique(train)),
            "epochs": round(len(train) / len(usable), 3) if len(usable) else 0.0,
            "tokens": _sum(self._lengths.kept, train),
            "supervised_tokens": _sum(self._supervised, train),
        }

    @cached_property
    def _lengths(self) -> Lengths:
        return lengths_of(self._pool, self.recipe.data.max_length)

    @cached_property
    def _supervised(self) -> np.ndarray:
        return self._pool.column("supervised")

    def _cut(self) -> dict[str, int]:
        """Rows that are used and were cut, and what they lost."""
        used = self.cleaned.fates <= Fate.NOT_DRAWN
        longer = used & (self._lengths.longest > self._lengths.limit)
        lost = _sum(self._pool.column("lost"), longer)
        return {"cut_rows": int(longer.sum()), "cut_supervised_tokens": lost, "usable_rows": int(used.sum())}

    def _examples(self, fate: Fate) -> list[dict[str, Any]]:
        """The first rows with a fate, each with the row that it is like."""
        found = np.flatnonzero(self.cleaned.fates == fate)[:EXAMPLES]
        return [self._named(int(row)) | {"like": self._like(int(self.cleaned.like[row]))} for row in found]

    def _like(self, position: int) -> dict[str, Any] | None:
        return self._named(position) if position >= 0 else None

    def _named(self, position: int) -> dict[str, Any]:
        source, number = self._pool.place(position)
        rows = self._pool.sources[source]
        # What tells rows apart stands at their end as often as at their beginning; the body leaves the system prompt out.
        text, ends = rows.text(number)
        begin = [0, *ends][int(self._pool.bodies[position])]
        return {
            "source": self.counts[source].source,
            "row": int(rows.numbers("row")[number]),
            "text": text[begin : begin + EXAMPLE_CHARACTERS],
        }


def source_names(report: dict[str, Any]) -> list[str]:
    """What the data sets of a prepared set are called: a configuration after its data set, a number where two are alike."""
    plain = [" ".join(filter(None, (found["source"], found.get("config")))) for found in report["sources"]]
    return [f"{name} ({number})" if plain.count(name) > 1 else name for number, name in enumerate(plain, 1)]


def _sum(column: np.ndarray, rows: np.ndarray) -> int:
    return int(column[rows].sum(dtype=np.int64))


def _lengths(lengths: np.ndarray) -> dict[str, Any]:
    """How long the rows are before the cut."""
    longest = int(lengths.max()) if len(lengths) else 0
    counts, edges = np.histogram(lengths, bins=min(BUCKETS, longest) or 1, range=(0, longest or 1))
    return {
        "lengths": {"edges": edges.round(1).tolist(), "counts": counts.tolist()},
        "longest": longest,
        "median": int(np.median(lengths)) if len(lengths) else 0,
        "p95": int(np.percentile(lengths, 95)) if len(lengths) else 0,
    }
