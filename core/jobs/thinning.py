"""A column of any length in a bounded number of buckets, so that drawing it costs the same at every length and hides no spike.

A bucket knows where its smallest and its largest value lie: both are drawn, at their own steps. When there are too many
buckets, neighbours become one and the stride doubles.
"""

from array import array
from dataclasses import dataclass, field

import numpy as np

BUCKETS = 1000

# One bucket: extremes and the places where they lie, sum and count of the finite values. Without any, low is inf.
_BUCKET = np.dtype(
    [("low", "f8"), ("low_at", "i8"), ("high", "f8"), ("high_at", "i8"), ("total", "f8"), ("count", "i8")]
)


@dataclass(frozen=True)
class Thinned:
    """What is drawn of a column: its extremes (points,), and its means (buckets,). A NaN is a gap.

    The first and the newest point are always among `values`; a column that has no more points than there may be buckets
    is there as it is, in `values` and in `means`.
    """

    steps: np.ndarray
    values: np.ndarray
    mean_steps: np.ndarray
    means: np.ndarray


@dataclass(frozen=True)
class Buckets:
    """`points` neighbouring points, `stride` to a bucket; the last bucket may still be filling."""

    points: int = 0
    stride: int = 1
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, _BUCKET))  # (buckets,)

    def grown(self, values: np.ndarray) -> "Buckets":
        """With the points that followed; at most BUCKETS buckets."""
        points, wide = self.points + len(values), self
        while points > BUCKETS * wide.stride:
            wide = wide._halved()
        room = -self.points % wide.stride  # what the last bucket still takes
        rows = np.concatenate([wide.rows, _bucketed(values[room:], wide.stride, self.points + room)])
        if room and len(values):
            last = slice(len(wide.rows) - 1, len(wide.rows))
            rows[last] = _merged(rows[last], _bucketed(values[:room], wide.stride, self.points))
        return Buckets(points, wide.stride, rows)

    def coarser(self, most: int) -> "Buckets":
        """At most so many buckets."""
        return self if len(self.rows) <= most else self._halved().coarser(most)

    def _halved(self) -> "Buckets":
        left, right = self.rows[::2].copy(), self.rows[1::2]
        left[: len(right)] = _merged(left[: len(right)], right)
        return Buckets(self.points, 2 * self.stride, left)

    @property
    def extremes(self) -> np.ndarray:
        """Positions, ascending: each bucket's smallest and largest value, the first point and the newest."""
        ends = np.array([0, self.points - 1] if self.points else [], dtype=np.int64)
        return np.unique(np.concatenate([self.rows["low_at"], self.rows["high_at"], ends]))

    @property
    def middles(self) -> np.ndarray:
        """Positions at which the means are drawn; the outer ones lie on the first point and the newest."""
        found = np.arange(len(self.rows)) * self.stride + (self.stride - 1) // 2
        found[:1], found[-1:] = 0, self.points - 1
        return found

    @property
    def means(self) -> np.ndarray:
        """Of the finite values; NaN where a bucket has none."""
        nothing = np.full(len(self.rows), np.nan)
        return np.divide(self.rows["total"], self.rows["count"], out=nothing, where=self.rows["count"] > 0)

    def of(self, steps: array, values: array) -> Thinned:
        """The very columns that these are the buckets of, thinned."""
        extremes = self.extremes
        return Thinned(_at(steps, extremes), _at(values, extremes), _at(steps, self.middles), self.means)


def _bucketed(values: np.ndarray, stride: int, first: int) -> np.ndarray:
    """Buckets of points of which the first has the position `first`."""
    wide = np.full((-(-len(values) // stride), stride), np.nan)  # (buckets, stride)
    wide.flat[: len(values)] = values
    known = np.isfinite(wide)
    low, high = np.where(known, wide, np.inf), np.where(known, wide, -np.inf)
    rows = np.zeros(len(wide), _BUCKET)
    starts = first + stride * np.arange(len(wide))
    rows["low"], rows["low_at"] = low.min(axis=1), starts + low.argmin(axis=1)
    rows["high"], rows["high_at"] = high.max(axis=1), starts + high.argmax(axis=1)
    rows["total"], rows["count"] = np.where(known, wide, 0).sum(axis=1), known.sum(axis=1)
    return rows


def _merged(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Each bucket with its right neighbour; of equal extremes the earlier stays."""
    merged = left.copy()
    lower, higher = right["low"] < left["low"], right["high"] > left["high"]
    for name in ("low", "low_at"):
        merged[name] = np.where(lower, right[name], left[name])
    for name in ("high", "high_at"):
        merged[name] = np.where(higher, right[name], left[name])
    for name in ("total", "count"):
        merged[name] = left[name] + right[name]
    return merged


def _at(column: array, positions: np.ndarray) -> np.ndarray:
    # Through the array itself: as long as numpy looks into its memory it could not grow.
    return np.fromiter(map(column.__getitem__, positions.tolist()), dtype=float, count=len(positions))
