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
from core.training.pairs import halves
from core.where import Place, local_path, place_of

SEED = 7


@dataclass(frozen=True)
class RowSet:
    """Rows as tokens and labels; `source` is the number in `names` of the data set that each is from, shape (rows,).

    Those of `pairs` say in `second` at which token the rejected conversation begins.
    """

    name: str
    rows: list[Row]
    source: np.ndarray
    names: list[str]
    general: bool = False
    pairs: bool = False

    @property
    def conversations(self) -> list[Row]:
        """What a model goes through: of each pair the chosen and the rejected one in turn."""
        return [half for row in self.rows for half in halves(row)] if self.pairs else self.rows

    @property
    def answered(self) -> list[Row]:
        """Conversations with the answers that the data wants."""
        return self.conversations[::2] if self.pairs else self.rows


def held_out(files: home.PreparedFiles, most: int) -> RowSet:
    """The rows of a prepared set that are kept aside, or a draw of them, the same each time."""
    report = read_json(files.report) or {}
    pool = _pool(report)
    chosen = _drawn(np.load(files.held_out), most)
    rows, pairs = _rows(pool, chosen), report.get("pairs", False)
    if pairs:
        seconds = pool.seconds[chosen].tolist()
        rows = [row | {"second": second} for row, second in zip(rows, seconds, strict=True)]
    name = "held-out pairs" if pairs else "held-out rows"
    return RowSet(name, rows, pool.source[chosen], source_names(report), pairs=pairs)


def general(
    worker: Worker, tokenizer: PreTrainedTokenizerBase, files: home.PreparedFiles, asked: str, most: int
) -> RowSet:
    """Rows of another data set, without those the run trained on; raises DataError where none is left."""
    recipe = worker.job.recipe
    everyday = asked == "everyday"
    opened = open_source(Source(source=str(EVERYDAY) if everyday else asked))
    _, encoded = encoded_source(worker, opened, Encoder(tokenizer, _plain(recipe)))
    usable = np.flatnonzero(~_known(files, encoded) & (encoded.numbers("supervised") > 0))
    if not len(usable):
        raise DataError(
            f"The run has trained on every row of {asked}, so it cannot show what was forgotten. Name others."
        )
    name = "everyday questions" if everyday else _short(asked)
    rows = _rows(Pool([encoded]), _drawn(usable, most))
    return RowSet(name, rows, np.zeros(len(rows), dtype=int), [name], general=True)


def _known(files: home.PreparedFiles, encoded: EncodedRows) -> np.ndarray:
    """Which of some rows were trained on, (rows,) of bool; of pairs the chosen conversation counts."""
    report, train = read_json(files.report) or {}, np.load(files.train)
    pool = _pool(report)
    if not report.get("pairs"):
        return np.isin(encoded.numbers("digest"), pool.column("digest")[train])
    places = ((pool.seconds[at], *pool.place(int(at))) for at in np.unique(train))
    trained = {hash(pool.sources[source].tokens(number)[:second].tobytes()) for second, source, number in places}
    return np.array([hash(encoded.tokens(number).tobytes()) in trained for number in range(len(encoded))], dtype=bool)


def _plain(recipe: Recipe) -> Recipe:
    """Answers alone count, whatever was trained on."""
    data = recipe.data.model_copy(update={"train_on": "assistant"})
    return recipe.model_copy(update={"data": data, "training": recipe.training.model_copy(update={"objective": "sft"})})


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
