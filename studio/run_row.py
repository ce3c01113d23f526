"""A run as a row: what the table of runs shows, searches and sorts by. A run that is over is read once, until its files change."""

import functools
import os
from pathlib import Path
from typing import NamedTuple

from core.jobs.about import About
from core.jobs.ending import can_resume
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.jobs.status import Status
from core.training.objectives import OBJECTIVES
from studio.progress import percent_done
from studio.run_facts import data_names, method, model_name, needs_attention


class RunRow:
    """One look at a job. Each fact is read when it is first asked for, and stays as it was then."""

    def __init__(self, job: Job):
        self.job = job

    @functools.cached_property
    def status(self) -> Status:
        return self.job.status

    @functools.cached_property
    def about(self) -> About:
        return self.job.about

    @functools.cached_property
    def name(self) -> str:
        return self.job.name

    @functools.cached_property
    def model(self) -> str | None:
        return None if self.damaged else model_name(self.job.recipe)

    @functools.cached_property
    def data(self) -> str | None:
        return None if self.damaged else data_names(self.job.recipe)

    @functools.cached_property
    def method(self) -> str | None:
        return None if self.damaged else method(self.job.recipe)

    @functools.cached_property
    def percent(self) -> int | None:
        return None if self.damaged else percent_done(self.job)

    @functools.cached_property
    def best_held_out(self) -> float | None:
        return self.job.metrics.best_held_out_loss

    @functools.cached_property
    def objective(self) -> str | None:
        return None if self.damaged else self.job.recipe.training.objective

    @property
    def rank_by_loss(self) -> tuple[bool, int, float]:
        """Place among runs that have a held-out loss, the lowest first: of one objective after the other, as each has its own."""
        if self.best_held_out is None or self.objective is None:
            return True, 0, 0.0
        return False, list(OBJECTIVES).index(self.objective), self.best_held_out

    @functools.cached_property
    def duration_s(self) -> float:
        return self.job.duration_s

    @functools.cached_property
    def created(self) -> float:
        return self.job.created

    @functools.cached_property
    def needs_attention(self) -> bool:
        return needs_attention(self.job)

    @functools.cached_property
    def can_resume(self) -> bool:
        return can_resume(self.job)

    @functools.cached_property
    def searched(self) -> str:
        """Everything that a search looks at, in small letters."""
        known = [self.job.id, self.name, self.model, self.data, self.method, *self.about.tags, self.about.note]
        return "\n".join(text for text in known if text).lower()

    @property
    def damaged(self) -> bool:
        return self.status is Status.DAMAGED


def all_rows() -> list[RunRow]:
    """Every training, newest first."""
    return [row_of(job) for job in all_jobs("train")]


class _Known(NamedTuple):
    stamp: tuple[int, ...]
    row: RunRow


_over: dict[Path, _Known] = {}


def row_of(job: Job) -> RunRow:
    """A run that is over keeps its row until one of the files changes that a worker or a person would write."""
    stamp = _stamp(job.folder)
    known = _over.get(job.folder)
    if known and known.stamp == stamp:
        return known.row
    row = RunRow(job)
    if not row.status.live:
        _over[job.folder] = _Known(stamp, row)
    return row


def _stamp(folder: Path) -> tuple[int, ...]:
    """Before anything is read: whatever changes while it is read changes the next stamp."""
    return tuple(number for path in _watched(folder) for number in _seen(path))


@functools.cache
def _watched(folder: Path) -> tuple[str, ...]:
    files = Job(folder).files
    return tuple(map(os.fspath, (files.events, files.result, files.process, files.about)))


def _seen(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)  # noqa: PTH116  a thousand runs are looked at in each rerun, and Path takes four times as long
    except OSError:
        return (0,)
    return found.st_ino, found.st_mtime_ns, found.st_size
