"""Which rows are nearly the same: MinHash finds those that may be (Broder 1997), their shared runs of tokens decide.

A row is the set of its runs of three tokens, from its first turn on that is not the system's. Two rows are nearly the same
if they share at least 80 % of all runs (Jaccard). Of pairs the chosen conversations are compared: one that is trained on is
a leak beside whatever it was preferred to. Only where rows are dropped for being alike, the rejected ones have to be so too.
The permutations and the cut into bands are datasketch's; whole batches are permuted at once, and bands are joined as arrays,
so that a million rows need no index in memory.
"""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, islice, pairwise
from pathlib import Path

import numpy as np
from datasketch import MinHash, MinHashLSH

from core import home
from core.data.pool import Pool
from core.data.store import EncodedRows

ALIKE = 0.8
RUN = 3
PERMUTATIONS = 64
# Rows that are a little less alike than asked are found as well: the exact measure decides.
LOOKED_FOR = 0.7
CUT = MinHashLSH(LOOKED_FOR, PERMUTATIONS)  # into b bands of r permutations
# Of all that share a band with a row, so that many rows with the same long instruction cost little.
COMPARED_WITH = 3
LOOKED_AT_FOR_A_LEAK = 20
AT_ONCE = 8  # batches
Tick = Callable[[int, int], None]


def near_duplicates(pool: Pool, positions: np.ndarray, tick: Tick) -> dict[int, int]:
    """Row -> the earlier row that it is nearly the same as; the earlier ones are not among the keys."""
    like: dict[int, int] = {}
    for hashes in _bands(pool, tick):
        for group in _groups(hashes[positions]):
            _thin(pool, positions[group].tolist(), like)
    return like


def twins(pool: Pool, rows: np.ndarray, others: np.ndarray, tick: Tick) -> dict[int, int]:
    """Row -> one of the others that it is nearly the same as, for those rows that have any; a row is not its own twin."""
    found: dict[int, int] = {}
    for hashes in _bands(pool, tick):
        places = _places(hashes, others[np.isin(hashes[others], hashes[rows])])
        for row in rows[np.isin(hashes[rows], hashes[others])].tolist():
            if row not in found and (like := _twin(pool, row, places[int(hashes[row])])) is not None:
                found[row] = like
    return found


def _twin(pool: Pool, row: int, others: list[int]) -> int | None:
    return next((other for other in others if other != row and alike(pool, row, other)), None)


def alike(pool: Pool, one: int, other: int) -> bool:
    """Whether two rows share enough of their runs of tokens; of pairs the chosen conversations."""
    return _alike(pool.body(one), pool.body(other))


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    a, b = np.unique(runs(one)), np.unique(runs(other))
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return bool(shared) and shared / (len(a) + len(b) - shared) >= ALIKE


def runs(ids: np.ndarray) -> np.ndarray:
    """A hash of every run of three tokens, shape (tokens - 2,); none where there are fewer."""
    ids = ids.astype(np.uint32)
    if len(ids) < RUN:
        return ids[:0]
    mixed = ids[:-2] * np.uint32(0x9E3779B1) ^ ids[1:-1] * np.uint32(0x85EBCA77) + ids[2:] * np.uint32(0xC2B2AE3D)
    mixed ^= mixed >> np.uint32(15)
    return mixed * np.uint32(0x2C1B3C6D) ^ mixed >> np.uint32(12)


def bands(rows: EncodedRows) -> np.ndarray:
    """A hash of each band of every row's MinHash, shape (bands, rows), read where it lies; made at the first call."""
    path = rows.files.bands
    if not path.exists():
        _write(rows)
    return np.load(path, mmap_mode="r")


def _write(rows: EncodedRows) -> None:
    """Make the hashes aside, each process in its own place: a training may need them while a preparation makes them."""
    aside = home.encoded_aside(rows.files.folder.name)
    aside.folder.mkdir(parents=True, exist_ok=True)
    try:
        _write_to(aside.bands, rows)
        aside.bands.replace(rows.files.bands)
    finally:
        shutil.rmtree(aside.folder, ignore_errors=True)


def _write_to(path: Path, rows: EncodedRows) -> None:
    whole = np.lib.format.open_memmap(path, "w+", np.uint64, (CUT.b, len(rows)))
    start = 0
    for part in _signed_batches(rows):
        for band, of_band in enumerate(np.split(part[:, : CUT.b * CUT.r], CUT.b, axis=1)):
            whole[band, start : start + len(part)] = _folded(of_band)
        start += len(part)
    whole.flush()


def _signed_batches(rows: EncodedRows) -> Iterator[np.ndarray]:
    """The MinHashes of one batch after the other; a few are made at once, so that memory and a stop's wait stay small."""
    factors, offsets = MinHash(PERMUTATIONS).permutations
    bodies, seconds, batches, start = rows.numbers("body"), rows.numbers("second"), rows.tokens_of_batches(), 0
    with ThreadPoolExecutor() as threads:
        while some := list(islice(batches, AT_ONCE)):
            ends = list(accumulate((len(bounds) - 1 for _, bounds in some), initial=start))
            jobs = [(*batch, bodies[a:b], seconds[a:b]) for batch, (a, b) in zip(some, pairwise(ends), strict=True)]
            yield from threads.map(lambda job: _signed(*job, factors, offsets), jobs)
            start = ends[-1]


def _signed(
    ids: np.ndarray,
    bounds: np.ndarray,
    bodies: np.ndarray,
    seconds: np.ndarray,
    factors: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    """The MinHashes of one batch, shape (rows, PERMUTATIONS)."""
    base = bounds[0]
    hashes = runs(np.concatenate([ids[base : bounds[-1]], np.zeros(2 * RUN, ids.dtype)]))
    starts = bounds[:-1] - base
    begins, ends = starts + bodies, np.where(seconds, starts + seconds, bounds[1:] - base)
    # A run that reaches into the next row is none of this row; one that is all too short has a hash that means nothing.
    ends = np.maximum(ends - (RUN - 1), begins)
    edges = np.column_stack([begins, ends]).ravel()
    smallest = [
        np.minimum.reduceat(factor * hashes + offset, edges)[::2]
        for factor, offset in zip(factors, offsets, strict=True)
    ]
    return np.stack(smallest, axis=1)


def _bands(pool: Pool, tick: Tick) -> Iterator[np.ndarray]:
    """For each band a hash of every row of the pool, shape (rows,)."""
    of_sources = []
    for number, rows in enumerate(pool.sources):
        tick(number, len(pool.sources) + CUT.b)
        of_sources.append(bands(rows))
    for band in range(CUT.b):
        tick(len(pool.sources) + band, len(pool.sources) + CUT.b)
        yield np.concatenate([one[band] for one in of_sources])


def _folded(part: np.ndarray) -> np.ndarray:
    """One hash for the (rows, permutations) of a band, shape (rows,)."""
    folded = np.zeros(len(part), np.uint64)
    for column in part.T:
        folded = folded * np.uint64(0x9E3779B97F4A7C15) + column
    return folded


def _groups(hashes: np.ndarray) -> Iterator[np.ndarray]:
    """Places of equal hashes, two or more, each group in order."""
    order = np.argsort(hashes, kind="stable")
    edges = np.concatenate([[0], np.flatnonzero(np.diff(hashes[order])) + 1, [len(order)]])
    for group in np.flatnonzero(np.diff(edges) > 1).tolist():
        yield order[edges[group] : edges[group + 1]]


def _places(hashes: np.ndarray, positions: np.ndarray) -> dict[int, list[int]]:
    """Hash -> the first few positions with it."""
    places: dict[int, list[int]] = {}
    for position in positions.tolist():
        some = places.setdefault(int(hashes[position]), [])
        if len(some) < LOOKED_AT_FOR_A_LEAK:
            some.append(position)
    return places


def _thin(pool: Pool, group: list[int], like: dict[int, int]) -> None:
    """Keep the first of those that are nearly the same."""
    kept: list[int] = []
    for position in group:
        if position in like:
            continue
        same = next((one for one in kept[:COMPARED_WITH] if _same(pool, one, position)), None)
        if same is None:
            kept.append(position)
        else:
            like[position] = same


def _same(pool: Pool, one: int, other: int) -> bool:
    """Whether one of two rows teaches nothing that the other does not."""
    if not alike(pool, one, other):
        return False
    rejected = pool.rejected(one), pool.rejected(other)
    return any(found is None for found in rejected) or _alike(*rejected)
