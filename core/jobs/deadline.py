"""`python -m core.jobs.deadline FOLDER`: end a job that does not react to a stop, even if nobody watches any more."""

import os
import sys
import time
from pathlib import Path

from core.jobs import launcher
from core.jobs.folder import Job
from core.jobs.status import Status

PATIENCE_S = 30
# A training finishes its step and saves first, so it gets this many steps more.
STEPS = 10
LEAST_S = 6
LOOK_EVERY_S = 0.5


def patience_s(job: Job) -> float:
    """Seconds a job has to end after it was asked to; `$STUDIO_STOP_DEADLINE_S` decides where it is set."""
    if asked := os.environ.get("STUDIO_STOP_DEADLINE_S"):
        return float(asked)
    return PATIENCE_S + STEPS * _step_s(job)


def _step_s(job: Job) -> float:
    """Seconds between the last two reports; before that, a fifth of what the training has run, and six at least."""
    times = job.metrics["elapsed_s"]
    if len(times) >= 2:
        return max(0.0, times[-1] - times[-2])
    began = job.newest_event("training")
    return max(LEAST_S, (time.time() - began["time"]) / 5) if began else 0


def main(folder: Path) -> None:
    job = Job(folder)
    worker, longest_s = job.worker, patience_s(job)
    until = time.monotonic() + longest_s
    while time.monotonic() < until:
        if worker is None or not worker.alive or job.status is not Status.STOPPING:
            return
        if job.newest_event("waiting_for_backup"):
            return  # it has saved and only waits for the Hub, for as long as `core.hub.backing` lets it
        time.sleep(LOOK_EVERY_S)
    # Only the worker that was asked: the job may have been resumed since.
    if job.worker == worker:
        launcher.end(job, f"It did not react to the stop within {longest_s:.0f} s, so it was ended.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
