"""Base against tuned on the same rows: loss, perplexity, and how sure the difference is. Paired bootstrap, no torch."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 2000
SURE = 0.95
# With fewer rows the drawn samples say little about other rows.
LEAST_ROWS = 8
CHUNK = 100
SEED = 7


@dataclass(frozen=True)
class Loss:
    """Mean loss over supervised tokens, and the range in which it lies with 95 % if other rows were drawn."""

    mean: float
    low: float
    high: float

    @property
    def perplexity(self) -> float:
        return math.exp(min(self.mean, 700.0))


@dataclass(frozen=True)
class Compared:
    """One set of rows under both models; the difference is tuned less base, so below 0 is better."""

    name: str
    general: bool
    rows: int
    tokens: int
    base: Loss
    tuned: Loss
    difference: Loss

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `no difference` that the data can show, `too few rows`, or `no number` where one diverged."""
        if not math.isfinite(self.difference.mean):
            return "no number"
        if self.rows < LEAST_ROWS:
            return "too few rows"
        if self.difference.high < 0:
            return "better"
        return "worse" if self.difference.low > 0 else "no difference"


def compared(name: str, base: np.ndarray, tuned: np.ndarray, general: bool = False) -> Compared:
    """From the losses of the same rows, each of shape (rows, 2): sum over supervised tokens, and their number.

    Percentile bootstrap over rows (Efron 1979); both models see the same draw, so what makes a row hard cancels out.
    """
    tokens = base[:, 1]
    drawn = _drawn(np.stack([base[:, 0], tuned[:, 0], tokens], axis=1))  # (draws, 3)
    means = drawn[:, :2] / drawn[:, 2:]
    of_base, of_tuned = (float(losses[:, 0].sum() / tokens.sum()) for losses in (base, tuned))
    return Compared(
        name,
        general,
        rows=len(base),
        tokens=int(tokens.sum()),
        base=_loss(of_base, means[:, 0]),
        tuned=_loss(of_tuned, means[:, 1]),
        difference=_loss(of_tuned - of_base, means[:, 1] - means[:, 0]),
    )


def from_dict(values: dict[str, Any]) -> Compared:
    """As `asdict` has it; what was no number is written as None."""
    losses = {name: _read_loss(values[name]) for name in ("base", "tuned", "difference")}
    return Compared(**values | losses)


def _read_loss(values: dict[str, float | None]) -> Loss:
    return Loss(**{name: math.nan if value is None else value for name, value in values.items()})


def _drawn(sums: np.ndarray) -> np.ndarray:
    """Column sums of so many samples of the rows, each as large as the whole, shape (draws, columns)."""
    rng, rows = np.random.default_rng(SEED), len(sums)
    even = np.full(rows, 1 / rows)
    return np.concatenate([rng.multinomial(rows, even, size=CHUNK) @ sums for _ in range(DRAWS // CHUNK)])


def _loss(mean: float, drawn: np.ndarray) -> Loss:
    low, high = np.quantile(drawn, [(1 - SURE) / 2, (1 + SURE) / 2])
    return Loss(mean, float(low), float(high))
