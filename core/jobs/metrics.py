"""The numbers of a run as columns, read incrementally: compact enough to keep hundreds of runs in memory."""

import math
from array import array
from pathlib import Path

from core.files import read_lines

COLUMNS = ("step", "epoch", "loss", "learning_rate", "grad_norm", "tokens_per_s", "memory_bytes", "elapsed_s", "left_s")


class Metrics:
    """Columns of one `metrics.jsonl`. Numbers that were not finite are NaN."""

    def __init__(self, path: Path):
        self.path = path
        self._forget()

    def _forget(self) -> None:
        self.offset = self.inode = 0
        self.columns = {name: array("d") for name in COLUMNS}
        self.held_out_step = array("d")
        self.held_out_loss = array("d")

    def refresh(self) -> "Metrics":
        """Read what was appended since the last look."""
        try:
            seen = self.path.stat()
        except FileNotFoundError:
            return self
        if seen.st_ino != self.inode or seen.st_size < self.offset:
            self._forget()
            self.inode = seen.st_ino
        if seen.st_size > self.offset:
            rows, self.offset = read_lines(self.path, self.offset)
            for row in rows:
                self._add(row)
        return self

    def _add(self, row: dict) -> None:
        if "held_out_loss" in row:
            self.held_out_step.append(_number(row.get("step")))
            self.held_out_loss.append(_number(row["held_out_loss"]))
        elif "loss" in row:
            for name, column in self.columns.items():
                column.append(_number(row.get(name)))

    def __getitem__(self, column: str) -> array:
        """One column of the training reports, in the order of the steps."""
        return self.columns[column]

    def __len__(self) -> int:
        return len(self.columns["step"])

    def last(self, column: str) -> float | None:
        """The newest finite value of a column."""
        return next((value for value in reversed(self.columns[column]) if math.isfinite(value)), None)

    @property
    def step(self) -> int:
        """The last reported step; 0 before the first."""
        return int(self.columns["step"][-1]) if len(self) else 0

    @property
    def best_held_out_loss(self) -> float | None:
        return min((loss for loss in self.held_out_loss if math.isfinite(loss)), default=None)

    @property
    def last_held_out_loss(self) -> float | None:
        return next((loss for loss in reversed(self.held_out_loss) if math.isfinite(loss)), None)


_metrics: dict[Path, Metrics] = {}


def metrics_of(path: Path) -> Metrics:
    """The numbers of the run that writes this file, as of now."""
    return _metrics.setdefault(path, Metrics(path)).refresh()


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
