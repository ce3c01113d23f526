"""How long rows are, before and after the cut. Each of the two conversations of a pair is cut for itself."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.data.pool import Pool


@dataclass(frozen=True)
class Lengths:
    """Tokens of rows before the cut, and those of the chosen conversation, 0 where a row is no pair, shape (rows,) each."""

    whole: np.ndarray
    first: np.ndarray
    limit: int

    @cached_property
    def longest(self) -> np.ndarray:
        """Of the longer conversation of each row, before the cut."""
        return np.maximum(self.first, self.whole - self.first)

    @cached_property
    def kept(self) -> np.ndarray:
        """Of each row after the cut."""
        return np.minimum(self.first, self.limit) + np.minimum(self.whole - self.first, self.limit)


def lengths_of(pool: Pool, limit: int) -> Lengths:
    return Lengths(pool.column("length"), pool.column("first"), limit)
