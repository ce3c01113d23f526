"""Go on with a run: find the checkpoint, see that model and data are the same, say what differs on this machine."""

import shutil
from dataclasses import asdict, dataclass
from typing import Any

from core import home
from core.data.prepare import prepare
from core.errors import DataError, ModelError
from core.jobs.checkpoint import Broken, Checkpoint
from core.jobs.folder import Job
from core.jobs.worker import Worker
from core.models.load import Found
from core.training.checkpoints import discard_after, newest_good


@dataclass(frozen=True)
class Point:
    """Where a training begins: at a checkpoint, or at step 0; `again` where it had begun before.

    `skipped` are the later checkpoints that are broken.
    """

    checkpoint: Checkpoint | None = None
    again: bool = False
    skipped: tuple[Broken, ...] = ()

    @property
    def step(self) -> int:
        return self.checkpoint.step if self.checkpoint else 0

    @property
    def made(self) -> dict[str, Any]:
        """What the checkpoint was made with and on; empty at step 0."""
        made = self.checkpoint.manifest.get("made") if self.checkpoint else None
        return made if isinstance(made, dict) else {}


def find_point(worker: Worker) -> Point:
    """The point this worker begins at; raises JobError."""
    request = next((event for event in reversed(worker.job.events) if event["event"] == "resuming"), None)
    return point_of(worker.job, request.get("step")) if request else Point()


def point_of(job: Job, step: int | None = None) -> Point:
    """The newest good checkpoint, or that of a step; raises JobError."""
    checkpoint, skipped = newest_good(job, step)
    return Point(checkpoint, again=True, skipped=tuple(skipped))


def go_back(worker: Worker, point: Point) -> None:
    """Return to a point: later checkpoints and numbers are dropped, so everything that may refuse a resume comes before."""
    job = worker.job
    for broken in point.skipped:
        worker.warning(f"The checkpoint of step {broken.step:,} is broken: {broken.why}. An earlier one is used.")
    # In this order: a worker that is killed in between leaves no number without the checkpoint that it led to.
    discard_after(job, point.step)
    # The result of an earlier end: its step is trained again, or is a checkpoint.
    for folder in job.files.finals:
        shutil.rmtree(folder, ignore_errors=True)
    worker.void_after(point.step)
    worker.event("resumed", step=point.step, skipped=[asdict(broken) for broken in point.skipped])


def prepared(worker: Worker, found: Found, point: Point) -> home.PreparedFiles:
    """The prepared set the checkpoint was trained on; raises DataError where the data has changed since.

    A set that is still there is used as it is, whatever became of the sources.
    """
    key = point.made.get("data")
    files = home.prepared_files(key) if key else None
    if files and files.report.exists():
        return files
    _, files = prepare(worker, found)
    if key and files.folder.name != key:
        raise DataError(
            f"The data is not what step {point.step:,} was trained on: a source has changed. "
            "Put the old one back to resume, or start a new run from this checkpoint."
        )
    return files


def check_model(point: Point, fingerprint: str, source: str) -> None:
    """Raise ModelError where the base model's files are others than those the checkpoint was trained on."""
    if point.made.get("model", fingerprint) != fingerprint:
        raise ModelError(
            f"The model {source} is not what step {point.step:,} was trained on: its files have changed. "
            "Put the old ones back to resume, or start a new run."
        )


def warn_of_differences(worker: Worker, point: Point, made: dict[str, Any]) -> None:
    """Say what differs from where the checkpoint was made: the numbers may then differ in their last digits."""
    different = differences(point.made, made) if point.checkpoint else []
    if different:
        worker.warning(
            f"Resumed with {', '.join(different)}. The run goes on, but not bit for bit as it would have there."
        )


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """`torch 2.13.0 instead of 2.12.1`, for every version and every fact of the machine that is another."""
    pairs = [
        (name, before.get(part, {}).get(name), value)
        for part in ("versions", "machine")
        for name, value in now[part].items()
    ]
    return [f"{name} {value} instead of {old}" for name, old, value in pairs if old is not None and old != value]
