"""Base against tuned on the same rows, by loss or by which answer is likelier, and how sure the difference is.

Paired bootstrap, no torch.
"""

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
# What is compared: the mean loss over supervised tokens, or the share of pairs whose chosen answer is the likelier one.
LOSS, LIKELIER = "loss", "chosen likelier"


@dataclass(frozen=True)
class Estimate:
    """A loss or a share, and the range in which it lies with 95 % if other rows were drawn."""

    mean: float
    low: float
    high: float

    @property
    def perplexity(self) -> float:
        return math.exp(min(self.mean, 700.0))


@dataclass(frozen=True)
class Compared:
    """One set of rows under both models; the difference is tuned less base: of losses below 0 is better, of shares above.

    `moved` is the share of pairs in which the chosen answer has gained on the rejected one, from base to tuned; None of rows.
    """

    name: str
    general: bool
    rows: int
    tokens: int
    base: Estimate
    tuned: Estimate
    difference: Estimate
    measure: str = LOSS
    moved: Estimate | None = None

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `no difference` that the data can show, `too few rows`, or `no number` where one diverged."""
        if not math.isfinite(self.difference.mean):
            return "no number"
        if self.rows < LEAST_ROWS:
            return "too few rows"
        if self.difference.low <= 0 <= self.difference.high:
            return "no difference"
        return "better" if (self.difference.high < 0) == (self.measure == LOSS) else "worse"


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
        base=_estimate(of_base, means[:, 0]),
        tuned=_estimate(of_tuned, means[:, 1]),
        difference=_estimate(of_tuned - of_base, means[:, 1] - means[:, 0]),
    )


def compared_pairs(name: str, base: np.ndarray, tuned: np.ndarray) -> Compared:
    """The same of pairs, shape (pairs, 2, 2): of the chosen and the rejected conversation the loss, summed, and its tokens.

    Which answer is the likelier one is decided by token, as the longer of two is nearly always the less likely one; what a
    tuned model has moved, by whole answers, as dpo counts it (arXiv:2305.18290).
    """
    likelier = [_chosen_first(losses[..., 0] / losses[..., 1]) for losses in (base, tuned)]
    of_pairs = np.stack([*likelier, _chosen_first(tuned[..., 0] - base[..., 0])], axis=1)  # (pairs, 3)
    of_base, of_tuned, of_moved = of_pairs.mean(0).tolist()
    means = _drawn(of_pairs) / len(of_pairs)
    return Compared(
        name,
        general=False,
        rows=len(base),
        tokens=int(base[..., 1].sum()),
        base=_estimate(of_base, means[:, 0]),
        tuned=_estimate(of_tuned, means[:, 1]),
        difference=_estimate(of_tuned - of_base, means[:, 1] - means[:, 0]),
        measure=LIKELIER,
        moved=_estimate(of_moved, means[:, 2]),
    )


def _chosen_first(losses: np.ndarray) -> np.ndarray:
    """From losses, (pairs, 2): 1 where the chosen answer's is the lower, 0 where the other's is, a half where neither, (pairs,)."""
    with np.errstate(invalid="ignore"):  # a model that diverged has no numbers
        return (np.sign(losses[:, 1] - losses[:, 0]) + 1) / 2


def from_dict(values: dict[str, Any]) -> Compared:
    """As `asdict` has it; what was no number is written as None."""
    estimates = {name: _read(found) for name, found in values.items() if isinstance(found, dict)}
    return Compared(**values | estimates)


def _read(values: dict[str, float | None]) -> Estimate:
    return Estimate(**{name: math.nan if value is None else value for name, value in values.items()})


def _drawn(sums: np.ndarray) -> np.ndarray:
    """Column sums of so many samples of the rows, each as large as the whole, shape (draws, columns)."""
    rng, rows = np.random.default_rng(SEED), len(sums)
    even = np.full(rows, 1 / rows)
    return np.concatenate([rng.multinomial(rows, even, size=CHUNK) @ sums for _ in range(DRAWS // CHUNK)])


def _estimate(mean: float, drawn: np.ndarray) -> Estimate:
    low, high = np.quantile(drawn, [(1 - SURE) / 2, (1 + SURE) / 2])
    return Estimate(mean, float(low), float(high))
