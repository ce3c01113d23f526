"""The numbers of a run as columns, read incrementally: compact enough to keep hundreds of runs in memory."""

import math
from array import array
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from core.jobs.tail import GrowingFile, number
from core.jobs.thinning import BUCKETS, Buckets, Thinned

COLUMNS = (
    "step",
    "epoch",
    "loss",
    "learning_rate",
    "grad_norm",
    "tokens_per_s",
    "memory_bytes",
    "elapsed_s",
    "left_s",
    "preferred",  # only of a training on pairs
)
HELD_OUT = "held_out_loss"
EVERYTHING = slice(None)


class Metrics:
    """Columns of one `metrics.jsonl`. Numbers that were not finite are NaN; a row without a step is no report.

    Where a run was resumed a row says `{"resumed_from": step}`: what was reported of later steps is void and left out.
    Columns only grow at their end, and others take their place where points are left out, so a thread may read them
    while another one refreshes.
    """

    def __init__(self, path: Path):
        self.file = GrowingFile(path)
        self.lock = Lock()
        self._begin({name: array("d") for name in COLUMNS}, array("d"), array("d"))

    def _begin(self, columns: dict[str, array], held_out_step: array, held_out_loss: array) -> None:
        """Go on from these; everything else follows from them."""
        self.columns = columns
        self.held_out_step = held_out_step
        self.held_out_loss = held_out_loss
        self.held_out_at: dict[int, float] = {}
        self.best_held_out_loss: float | None = None
        self.last_held_out_loss: float | None = None
        self._last: dict[str, tuple[int, float | None]] = {}  # how many were looked at, and the newest of them
        self._buckets: dict[str, Buckets] = {}
        for step, loss in zip(held_out_step, held_out_loss, strict=True):
            self._measure(step, loss)

    def refresh(self) -> "Metrics":
        """Read what was appended since the last look."""
        with self.lock:
            another, fresh = self.file.look()
            if another:
                self._begin({name: array("d") for name in COLUMNS}, array("d"), array("d"))
            for row in fresh:
                self._add(row)
        return self

    def _add(self, row: dict[str, Any]) -> None:
        if "resumed_from" in row:
            self._resume(number(row["resumed_from"]))
            return
        if math.isnan(step := number(row.get("step"))):
            return
        if HELD_OUT in row:
            self.held_out_loss.append(number(row[HELD_OUT]))
            self.held_out_step.append(step)
            self._measure(step, self.held_out_loss[-1])
        elif "loss" in row:
            # The step comes last: a report is counted once all of it is there.
            for name in reversed(COLUMNS):
                self.columns[name].append(number(row.get(name)))

    def _measure(self, step: float, loss: float) -> None:
        if not math.isnan(loss):
            self.held_out_at[int(step)] = loss
            best = self.best_held_out_loss
            self.best_held_out_loss = loss if best is None else min(best, loss)
            self.last_held_out_loss = loss

    def _resume(self, step: float) -> None:
        """Drop what is void; a run resumed from its start measures anew what it measured before its first step."""
        if math.isnan(step):
            return
        train, held_out = (_valid(steps, step) for steps in (self.columns["step"], self.held_out_step))
        columns = {name: _kept(column, train) for name, column in self.columns.items()}
        self._begin(columns, _kept(self.held_out_step, held_out), _kept(self.held_out_loss, held_out))

    def __getitem__(self, column: str) -> array:
        """One column of the training reports, in the order of the steps."""
        return self.columns[column]

    def __len__(self) -> int:
        return len(self.columns["step"])

    def thinned(self, column: str, part: slice = EVERYTHING, buckets: int = BUCKETS) -> Thinned:
        """A column of the reports, or `held_out_loss`, in at most so many buckets; a part is given by positions.

        The whole column costs the same at every length, a part of it what numpy takes to go through it once.
        """
        with self.lock:
            held_out = column == HELD_OUT
            steps = self.held_out_step if held_out else self.columns["step"]
            values = self.held_out_loss if held_out else self.columns[column]
            # A slice is a copy. A look into the column's own memory would keep it from growing.
            if len(range(len(values))[part]) < len(values):
                return Buckets().grown(np.frombuffer(values[part])).coarser(buckets).of(steps[part], values[part])
            known = self._buckets.get(column, Buckets())
            self._buckets[column] = known.grown(np.frombuffer(values[known.points :]))
            return self._buckets[column].coarser(buckets).of(steps, values)

    def last(self, column: str) -> float | None:
        """The newest finite value of a column."""
        with self.lock:
            looked_at, found = self._last.get(column, (0, None))
            fresh = self.columns[column][looked_at:]
            found = next((value for value in reversed(fresh) if not math.isnan(value)), found)
            self._last[column] = looked_at + len(fresh), found
            return found

    @property
    def step(self) -> int:
        """The last reported step; 0 before the first."""
        steps = self.columns["step"]
        return int(steps[-1]) if steps else 0


_metrics: dict[Path, Metrics] = {}


def metrics_of(path: Path) -> Metrics:
    """The numbers of the run that writes this file, as of now."""
    if path not in _metrics:
        _metrics.setdefault(path, Metrics(path))
    return _metrics[path].refresh()


def _valid(steps: array, resumed_from: float) -> np.ndarray:
    """Which reports count after a resume, (reports,) of bool: none where it began anew."""
    return (np.array(steps) <= resumed_from) & (resumed_from > 0)


def _kept(column: array, those: np.ndarray) -> array:
    return array("d", np.array(column)[those].tobytes())
