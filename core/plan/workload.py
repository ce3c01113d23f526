"""What a training has in its hands at once: tokens and labels of its largest and of its usual batch. No torch."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from core import home
from core.data.lengths import lengths_of
from core.data.pool import Pool
from core.data.preview import Prepared
from core.data.store import EncodedRows
from core.recipe import Recipe

# The share of tokens that carry a label where nobody has counted: answers of instruction data are half of it or less.
ASSUMED_LABELS = 0.5
# The order of the rows that stands for the trainer's own, which only torch can draw.
DRAW = 7


@dataclass(frozen=True)
class Batch:
    """One batch as the model sees it: `tokens` with whatever padding there is, `longest` is its longest row."""

    tokens: float
    labels: float
    longest: float


@dataclass(frozen=True)
class Workload:
    """The largest batch of a run decides its memory, the usual one its time; `counted` in the rows, or assumed full.

    `batches` make the usual step, as many as the recipe asks for where nothing else is known.
    """

    largest: Batch
    usual: Batch
    counted: bool
    batches: float | None = None


def assumed(recipe: Recipe, tokens_per_row: float | None = None) -> Workload:
    """Where no rows were counted: all as long as the recipe allows; with a mean length, that for the usual one.

    The two conversations of a pair count together in `tokens_per_row`.
    """
    longest, conversations = recipe.data.max_length, recipe.conversations_per_row
    batch = recipe.training.batch * conversations
    mean = longest if recipe.data.packs else min(longest, (tokens_per_row or math.inf) / conversations)
    share = 1.0 if recipe.data.train_on == "all" else ASSUMED_LABELS
    full = Batch(batch * longest, batch * longest * share, longest)
    return Workload(full, Batch(batch * mean, batch * mean * share, mean), counted=False)


def counted(recipe: Recipe, prepared: Prepared, padded: bool, batches: int | None = None) -> Workload:
    """From the rows of a prepared set, in a random order; `batches` are those of the whole run, where it is short."""
    rows = _rows(prepared.files, recipe.data.max_length)
    if recipe.data.packs:
        return _packed(recipe, prepared.report["packing"], rows)
    return _drawn(rows, recipe.training.batch, padded, batches or len(rows.tokens))


@functools.lru_cache(maxsize=32)
def _drawn(rows: "Rows", batch: int, padded: bool, batches: int) -> Workload:
    order = np.random.default_rng(DRAW).permutation(len(rows.tokens))
    starts = np.arange(0, len(order), batch)
    tokens, labels = (np.add.reduceat(column[order], starts) for column in (rows.tokens, rows.labels))
    longest = np.maximum.reduceat(rows.longest[order], starts)
    if padded:
        tokens = longest * np.diff([*starts, len(order)]) * rows.conversations
    peak = int(tokens[:batches].argmax())
    largest = Batch(float(tokens[peak]), float(labels[:batches].max()), float(longest[peak]))
    return Workload(largest, Batch(float(tokens.mean()), float(labels.mean()), float(longest.mean())), counted=True)


def _packed(recipe: Recipe, report: dict[str, Any], rows: "Rows") -> Workload:
    """Packed rows have no padding: full ones at most, and on the average as full as the report counted."""
    batch = min(recipe.training.batch, report["rows"])
    full = min(batch * recipe.data.max_length, int(rows.tokens.sum()))
    share = float(rows.labels.sum() / rows.tokens.sum())
    longest, mean = float(rows.tokens.max()), float(rows.tokens.mean())
    usual = full * report["filled"]
    return Workload(Batch(full, full * share, longest), Batch(usual, usual * share, mean), counted=True)


@dataclass(frozen=True, eq=False)
class Rows:
    """Tokens and labels of every row that is trained on, and the tokens of its longest conversation, (rows,) each.

    The same object for the same set; `conversations` are in each row.
    """

    tokens: np.ndarray
    labels: np.ndarray
    longest: np.ndarray
    conversations: int


@functools.lru_cache(maxsize=8)
def _rows(files: home.PreparedFiles, limit: int) -> Rows:
    report = Prepared(files).report
    pool = Pool([EncodedRows(home.encoded_files(source["key"])) for source in report["sources"]])
    lengths, train = lengths_of(pool, limit), np.load(files.train)
    longest = np.minimum(lengths.longest, limit)
    return Rows(lengths.kept[train], pool.column("supervised")[train], longest[train], 2 if report.get("pairs") else 1)
