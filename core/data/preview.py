"""The prepared data as the app reads it: counts and a sample of rows with their tokens. No torch, no tokenizer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from core import home
from core.files import read_json
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.jobs.preflight import located
from core.jobs.tail import lines_of
from core.recipe import Recipe


@dataclass(frozen=True)
class Token:
    """One token as the model sees it."""

    text: str
    id: int
    trained: bool
    special: bool


@dataclass(frozen=True)
class SampleRow:
    """One conversation as tokens; `cut` of its tokens did not fit into `max_length`."""

    source: str
    row: int
    held_out: bool
    cut: int
    values: dict[str, Any]

    @cached_property
    def tokens(self) -> list[Token]:
        """Made when they are looked at: a page shows one row of hundreds."""
        columns = (self.values[name] for name in ("texts", "ids", "trained", "special"))
        tokens = zip(*columns, strict=True)
        return [Token(text, id, bool(trained), bool(special)) for text, id, trained, special in tokens]

    @property
    def trained(self) -> int:
        return sum(self.values["trained"])


@dataclass(frozen=True)
class Prepared:
    """One prepared data set on disk."""

    files: home.PreparedFiles

    @property
    def report(self) -> dict[str, Any]:
        """`rows_read`, `rows`, `held_out_rows`, `tokens`, `supervised_tokens`, `cut_rows`, `dropped` (reason -> count),
        `problems` (the first rows set aside, with place and reason), `sources` (one row each), `lengths` (`edges`, `counts`), `longest`, `median`."""
        return read_json(self.files.report) or {}

    def sample(self) -> list[SampleRow]:
        held_out = self.held_out
        return [_row(values, held_out) for values in lines_of(self.files.sample)]

    @property
    def held_out(self) -> set[int]:
        """The numbers of the rows that are kept aside, counted over all sources."""
        return set(json.loads(self.files.held_out.read_text()))


def prepared_by(job: Job) -> Prepared | None:
    """The set that a job prepared or trained on, if it is still there."""
    files = home.prepared_files(job.prepared_key) if job.prepared_key else None
    return Prepared(files) if files and files.report.exists() else None


def prepared_for(recipe: Recipe) -> Prepared | None:
    """The newest set that was prepared from this very model, data and seed."""
    return next((found for job in _with_same_data(recipe) if (found := prepared_by(job))), None)


def preparing(recipe: Recipe) -> Job | None:
    """The live job that is preparing this data now."""
    return next((job for job in _with_same_data(recipe, "prepare") if job.status.live), None)


def last_preparation(recipe: Recipe) -> Job | None:
    """The newest prepare job of this data, however it ended."""
    return next(_with_same_data(recipe, "prepare"), None)


def _with_same_data(recipe: Recipe, kind: str | None = None) -> Iterator[Job]:
    """Jobs on this model, data and seed, newest first; their recipes name local sources by absolute path."""
    wanted = _data_of(located(recipe))
    return (job for job in all_jobs(kind) if not job.damage and _data_of(job.recipe) == wanted)


def _data_of(recipe: Recipe) -> tuple:
    model = recipe.model.model_copy(update={"start_from": None})
    return model, recipe.data.model_copy(update={"packing": False}), recipe.training.seed


def _row(values: dict[str, Any], held_out: set[int]) -> SampleRow:
    return SampleRow(values["source"], values["row"], values["index"] in held_out, values["cut"], values)
