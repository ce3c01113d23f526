"""The rows that base and tuned are measured on: those a run held out, and general ones that it did not train on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from core import home
from core.data.encoder import Encoder
from core.data.encoding import encoded_source
from core.data.pool import Pool
from core.data.report import source_names
from core.data.sources import open_source
from core.data.store import EncodedRows
from core.errors import DataError
from core.evaluation.asked import EVERYDAY
from core.evaluation.losses import Row
from core.files import read_json
from core.jobs.worker import Worker
from core.recipe import Recipe
from core.recipe_data import Source
from core.where import Place, local_path, place_of

SEED = 7


@dataclass(frozen=True)
class RowSet:
    """Rows as tokens and labels; `source` is the number in `names` of the data set that each is from, shape (rows,)."""

    name: str
    rows: list[Row]
    source: np.ndarray
    names: list[str]
    general: bool = False


def held_out(files: home.PreparedFiles, most: int) -> RowSet:
    """The rows of a prepared set that are kept aside, or a draw of them, the same each time."""
    report = read_json(files.report) or {}
    pool = _pool(report)
    chosen = _drawn(np.load(files.held_out), most)
    return RowSet("held-out rows", _rows(pool, chosen), pool.source[chosen], source_names(report))


def general(
    worker: Worker, tokenizer: PreTrainedTokenizerBase, files: home.PreparedFiles, asked: str, most: int
) -> RowSet:
    """Rows of another data set, without those the run trained on; raises DataError where none is left."""
    recipe = worker.job.recipe
    everyday = asked == "everyday"
    opened = open_source(Source(source=str(EVERYDAY) if everyday else asked))
    _, encoded = encoded_source(worker, opened, Encoder(tokenizer, _plain(recipe)))
    trained = _pool(read_json(files.report) or {}).column("digest")[np.load(files.train)]
    usable = np.flatnonzero(~np.isin(encoded.numbers("digest"), trained) & (encoded.numbers("supervised") > 0))
    if not len(usable):
        raise DataError(
            f"The run has trained on every row of {asked}, so it cannot show what was forgotten. Name others."
        )
    name = "everyday questions" if everyday else _short(asked)
    rows = _rows(Pool([encoded]), _drawn(usable, most))
    return RowSet(name, rows, np.zeros(len(rows), dtype=int), [name], general=True)


def _plain(recipe: Recipe) -> Recipe:
    """Answers alone count, whatever was trained on."""
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"train_on": "assistant"})})


def _short(source: str) -> str:
    return local_path(source).name if place_of(source) is Place.LOCAL else Path(source).name


def _pool(report: dict[str, Any]) -> Pool:
    return Pool([EncodedRows(home.encoded_files(source["key"])) for source in report["sources"]])


def _drawn(positions: np.ndarray, most: int) -> np.ndarray:
    """So many of them at most, in their order."""
    if len(positions) <= most:
        return positions
    return np.sort(np.random.default_rng(SEED).choice(positions, most, replace=False))


def _rows(pool: Pool, positions: Sequence[int]) -> list[Row]:
    found = []
    for position in positions:
        source, number = pool.place(int(position))
        rows = pool.sources[source]
        found.append({name: rows.tokens(number, name).tolist() for name in ("input_ids", "labels")})
    return found
