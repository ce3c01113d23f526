"""What became of every row of a pool: trained on, held out, or left out, each with its reason. Nothing is dropped silently."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from core.data.pool import Pool
from core.recipe import Recipe


class Fate(IntEnum):
    """What became of a row; the order is that in which it is decided."""

    TRAINED = 0
    HELD_OUT = 1
    NOT_DRAWN = 2
    BROKEN_TURNS = 3
    TOO_LONG = 4
    NOTHING_LEFT = 5
    TOO_SHORT = 6
    EXACT_DUPLICATE = 7
    NEAR_DUPLICATE = 8
    LEAK = 9

    @property
    def words(self) -> str:
        return WORDS[self]


WORDS = {
    Fate.TRAINED: "trained on",
    Fate.HELD_OUT: "held out",
    Fate.NOT_DRAWN: "left out by the mix",
    Fate.BROKEN_TURNS: "turns out of order",
    Fate.TOO_LONG: "longer than max tokens",
    Fate.NOTHING_LEFT: "nothing left to learn after the cut",
    Fate.TOO_SHORT: "answer too short",
    Fate.EXACT_DUPLICATE: "exact duplicate",
    Fate.NEAR_DUPLICATE: "near duplicate",
    Fate.LEAK: "nearly the same as a held-out row",
}
DROPPED = [fate for fate in Fate if fate > Fate.NOT_DRAWN]


@dataclass
class Cleaned:
    """The fate of each row of a pool, and for duplicates and leaks the row they are like, else -1; shape (rows,)."""

    pool: Pool
    recipe: Recipe
    fates: np.ndarray = field(init=False)
    like: np.ndarray = field(init=False)
    # Rows that would have been held out, and are trained on because others are nearly the same.
    kept_from_held_out: int = 0

    def __post_init__(self) -> None:
        self.fates = np.zeros(len(self.pool), np.int8)
        self.like = np.full(len(self.pool), -1)

    @property
    def uses(self) -> list[str]:
        return [source.use for source in self.recipe.data.sources]

    def rows(self, *uses: str) -> np.ndarray:
        """Positions that nothing has been decided on yet, of data sets with these uses."""
        wanted = [number for number, use in enumerate(self.uses) if use in uses]
        return np.flatnonzero((self.fates == Fate.TRAINED) & np.isin(self.pool.source, wanted))

    def decide(self, positions: np.ndarray, fate: Fate) -> None:
        self.fates[positions] = fate

    def decide_alike(self, like: dict[int, int], fate: Fate) -> None:
        for position, other in like.items():
            self.fates[position], self.like[position] = fate, other
