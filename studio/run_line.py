"""One run of several as it is drawn: which of its losses, and over what."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.jobs.folder import Job
from core.jobs.metrics import Metrics
from studio.loss_chart import curve_of

TRAIN, HELD_OUT, BOTH = "Train", "Held-out", "Both"
SHOWN = (BOTH, TRAIN, HELD_OUT)
AXES = {"Steps": None, "Epochs": "epoch", "Time": "elapsed_s"}  # what the losses stand over, and its column


@dataclass(frozen=True)
class RunLine:
    """One run as it is drawn; losses in nats, NaN is a gap."""

    label: str
    x: np.ndarray
    losses: np.ndarray  # smoothed
    held_out_x: np.ndarray
    held_out: np.ndarray

    @property
    def newest(self) -> float | None:
        """The number at the end of the line: the newest held-out loss, else the newest smoothed one."""
        finite = [values[np.isfinite(values)] for values in (self.held_out, self.losses)]
        return next((float(values[-1]) for values in finite if len(values)), None)


def line_of(job: Job, label: str, over: str, shown: str) -> RunLine:
    """The curve of a run; `over` is one of AXES, `shown` one of SHOWN."""
    curve, none = curve_of(job), np.zeros(0)
    train, held_out = shown != HELD_OUT, shown != TRAIN
    return RunLine(
        label,
        _placed(curve.smoothed_steps, job.metrics, AXES[over]) if train else none,
        np.asarray(curve.smoothed, dtype=float) if train else none,
        _placed(curve.held_out_steps, job.metrics, AXES[over]) if held_out else none,
        np.array(curve.held_out_losses, dtype=float) if held_out else none,
    )


def _placed(steps: Sequence[float], metrics: Metrics, column: str | None) -> np.ndarray:
    """Where steps lie on the axis: themselves, or what the run had reported in a column by then."""
    steps = np.array(steps, dtype=float)
    if column is None:
        return steps
    known = metrics.thinned(column)
    finite = np.isfinite(known.values)
    if not finite.any():
        return np.full(len(steps), np.nan)
    return np.interp(steps, known.steps[finite], known.values[finite], left=0)
