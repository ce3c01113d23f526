"""Decide which rows are used: by the order of turns, by length, by duplicates within and across data sets, by what is held out."""

import numpy as np

from core.data import held_out, similar
from core.data.fates import Cleaned, Fate
from core.data.lengths import lengths_of
from core.data.pool import Pool
from core.data.similar import Tick
from core.recipe import Recipe


def clean(pool: Pool, recipe: Recipe, tick: Tick) -> Cleaned:
    """Decide on every row but for the mix, in the order of `Fate`, then what is held out."""
    cleaned, rules = Cleaned(pool, recipe), recipe.data.cleaning
    _by_length(cleaned)
    if rules.broken_turns:
        cleaned.decide(pool.column("broken"), Fate.BROKEN_TURNS)
    for use in ("held_out", "train"):
        if rules.exact_duplicates:
            _exact_duplicates(cleaned, cleaned.rows(use))
        if rules.near_duplicates:
            cleaned.decide_alike(similar.near_duplicates(pool, cleaned.rows(use), tick), Fate.NEAR_DUPLICATE)
    held_out.hold_out(cleaned, tick)
    return cleaned


def _by_length(cleaned: Cleaned) -> None:
    """Too long, nothing left, too short; what is held out must have something to measure as well."""
    data = cleaned.recipe.data
    supervised, lengths = cleaned.pool.column("supervised"), lengths_of(cleaned.pool, data.max_length)
    cleaned.decide(_has_short_answer(cleaned.pool, supervised, data.cleaning.shortest_answer), Fate.TOO_SHORT)
    cleaned.decide(supervised == 0, Fate.NOTHING_LEFT)
    if data.cleaning.too_long == "drop":
        cleaned.decide(lengths.longest > data.max_length, Fate.TOO_LONG)


def _has_short_answer(pool: Pool, supervised: np.ndarray, least: int) -> np.ndarray:
    """Which rows have fewer trained tokens, of a pair in one of its answers, (rows,) of bool."""
    short = supervised < least
    # With one token in each answer there is nothing to look up: a pair that lacks an answer counts none at all.
    for position in np.flatnonzero(~short & (pool.seconds > 0)) if least > 1 else ():
        short[position] = pool.shorter_answer(position) < least
    return short


def _exact_duplicates(cleaned: Cleaned, positions: np.ndarray) -> None:
    """All but the first of the same conversation, where the same turns of it are learned."""
    digests = cleaned.pool.column("digest")[positions]
    _, group, times = np.unique(digests, return_inverse=True, return_counts=True)
    again = times[group] > 1
    first: dict[tuple[int, bytes], int] = {}
    like: dict[int, int] = {}
    for position, digest in zip(positions[again].tolist(), digests[again].tolist(), strict=True):
        other = first.setdefault((digest, cleaned.pool.learned(position)), position)
        if other != position:
            like[position] = other
    cleaned.decide_alike(like, Fate.EXACT_DUPLICATE)
