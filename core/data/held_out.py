"""Which rows are held out: whole data sets that are marked so, else the same share of each one; checked against leaks."""

import random

import numpy as np

from core.data import similar
from core.data.fates import Cleaned, Fate
from core.data.mixing import held_out_of_each
from core.data.similar import Tick

# So many times the rows that are needed are looked at: those with a twin among the rows trained on are passed over.
SPARE = 4


def hold_out(cleaned: Cleaned, tick: Tick) -> None:
    """Decide what is held out, and what may not be trained on because of it."""
    if "held_out" in cleaned.uses:
        _whole_sources(cleaned, tick)
    elif cleaned.recipe.data.eval_fraction:
        _share_of_each(cleaned, tick)


def _whole_sources(cleaned: Cleaned, tick: Tick) -> None:
    """Their rows stand; rows to train on that are nearly the same go."""
    aside, train = cleaned.rows("held_out"), cleaned.rows("train")
    if cleaned.recipe.data.cleaning.leaks:
        cleaned.decide_alike(similar.twins(cleaned.pool, train, aside, tick), Fate.LEAK)
    cleaned.decide(aside, Fate.HELD_OUT)


def _share_of_each(cleaned: Cleaned, tick: Tick) -> None:
    """Rows with a near twin stay in training and others are held out instead, so nothing is lost by the check."""
    data, seed = cleaned.recipe.data, cleaned.recipe.training.seed
    train = cleaned.rows("train")
    of_each = [train[cleaned.pool.source[train] == number] for number in range(len(data.sources))]
    wanted = held_out_of_each([len(rows) for rows in of_each], data.eval_fraction)
    looked_at = [
        rows[drawn(len(rows), min(SPARE * number, len(rows)), seed, source)]
        for source, (rows, number) in enumerate(zip(of_each, wanted, strict=True))
    ]
    known: dict[int, int] = {}
    if data.cleaning.leaks:
        known = similar.twins(cleaned.pool, np.concatenate(looked_at), train, tick)
    for candidates, number in zip(looked_at, wanted, strict=True):
        clear = [position for position in candidates.tolist() if position not in known][:number]
        cleaned.kept_from_held_out += sum(position in known for position in candidates[:number].tolist())
        cleaned.decide(np.array(clear, np.int64), Fate.HELD_OUT)


def drawn(rows: int, wanted: int, seed: int, source: int) -> list[int]:
    """Rows by lot, in the order in which they were drawn; the same for the same seed."""
    return random.Random(f"{seed}, held out of data set {source}").sample(range(rows), wanted)
