"""How many rows of each data set are held out and trained on: shares as whole rows. Arithmetic only, for page and job."""

import random
from collections.abc import Sequence

from core.errors import DataError

RULES = {
    "same size": "As many rows as there are: small data sets repeat, large ones are cut.",
    "never repeat": "No row is seen twice: the mix ends where the first data set runs out.",
    "never cut": "Every row is seen: the others repeat until the last data set is through.",
}
ANCHORED = "Data sets without a weight come as they are; the others are repeated or cut to their share."
AS_THEY_COME = "Every row of every data set once."
MANY_EPOCHS = 5


def rows_of_each(available: Sequence[int], weights: Sequence[float | None], mixing: str = "same size") -> list[int]:
    """Rows of the mix from each data set, more than `available` where it repeats; raises DataError.

    Where some have no weight, those come as they are, and the others take their share of the whole. Where all have one,
    only its ratio to the others counts, and `mixing` decides how large the mix is. A weight with one data set, or an
    empty one, changes nothing.
    """
    weighted = [number for number, weight in enumerate(weights) if weight is not None and available[number]]
    if not weighted or len([rows for rows in available if rows]) < 2:
        return list(available)
    shares = _shares(available, weights)
    size = _size(available, shares, weights, mixing)
    return [
        rows if weights[number] is None or not rows else max(1, round(size * shares[number]))
        for number, rows in enumerate(available)
    ]


def too_heavy(weights: Sequence[float | None]) -> str | None:
    """What is wrong where some data sets have no weight and the others leave nothing for them."""
    total = sum(weight for weight in weights if weight is not None)
    if None not in weights or total < 1:
        return None
    return (
        f"The weights add up to {total:g}, which leaves nothing for the data sets without one. Lower them, or give every data "
        "set a weight."
    )


def rule(weights: Sequence[float | None], mixing: str) -> str:
    """Which data set repeats and which is cut, in words."""
    if len(weights) < 2 or not any(weights):
        return AS_THEY_COME
    return RULES[mixing] if all(weights) else ANCHORED


def _shares(available: Sequence[int], weights: Sequence[float | None]) -> list[float]:
    """The share of each weighted data set in the mix; 0 for the others."""
    given = [weight if weight and rows else 0.0 for weight, rows in zip(weights, available, strict=True)]
    total = sum(given)
    if _anchored(available, weights):
        if problem := too_heavy(weights):
            raise DataError(problem)
        return given
    return [weight / total for weight in given]


def _anchored(available: Sequence[int], weights: Sequence[float | None]) -> int:
    """Rows that come as they are."""
    return sum(rows for rows, weight in zip(available, weights, strict=True) if weight is None)


def _size(available: Sequence[int], shares: list[float], weights: Sequence[float | None], mixing: str) -> float:
    if anchor := _anchored(available, weights):
        return anchor / (1 - sum(shares))
    sizes = [rows / share for rows, share in zip(available, shares, strict=True) if share]
    return {"same size": sum(available), "never repeat": min(sizes), "never cut": max(sizes)}[mixing]


def drawn(available: int, wanted: int, seed: str) -> list[int]:
    """Which rows of `available` are taken, in order: all of them as often as they fit, then a draw by the seed."""
    passes, rest = divmod(wanted, available) if available else (0, 0)
    some = random.Random(seed).sample(range(available), rest)
    return sorted(list(range(available)) * passes + some)


def held_out_of_each(rows: Sequence[int], fraction: float) -> list[int]:
    """How many rows of each data set are held out: at least one in all, and never all of one."""
    wanted = [min(round(number * fraction), max(0, number - 1)) for number in rows]
    if fraction and not any(wanted) and max(rows, default=0) > 1:
        wanted[rows.index(max(rows))] = 1
    return wanted
