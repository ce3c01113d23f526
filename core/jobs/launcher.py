"""Start and stop jobs: each is a process of its own session, so it outlives the app, the terminal and the tab."""

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from filelock import FileLock

from core import home
from core.errors import JobError
from core.files import append_line, write_whole
from core.jobs import process
from core.jobs.folder import Job, Status, live_jobs
from core.jobs.preflight import check, located
from core.recipe import Recipe
from core.recipe_yaml import to_yaml


def start(recipe: Recipe, kind: str = "train") -> Job:
    """Start a job in the background and return its handle; raises StudioError and leaves nothing if it cannot start."""
    recipe = located(recipe)
    check(recipe, kind)
    home.jobs_folder().mkdir(parents=True, exist_ok=True)
    # Two tabs, or a double click: the lock makes the look and the start one act.
    with FileLock(home.jobs_folder() / ".start.lock"):
        _refuse_a_second_training(kind)
        job = _new_folder(recipe, kind)
        return _launch(job)


def stop(job: Job) -> None:
    """Ask the worker to finish its step, write a checkpoint and end; a second request ends the whole group at once."""
    if job.worker is None or not job.status.live:
        raise JobError(f"{job.name} is not running, so there is nothing to stop.")
    if job.status is Status.STOPPING:
        job.worker.signal(signal.SIGKILL, group=True)
    else:
        job.worker.signal(signal.SIGTERM)


def wait(job: Job, longest_s: float = float("inf")) -> Status:
    """Wait until the job is over, or the time has passed; the status then."""
    end = time.monotonic() + longest_s
    while job.status.live and time.monotonic() < end:
        time.sleep(0.1)
    return job.status


def delete(job: Job) -> None:
    """Remove a job's folder with all its checkpoints; raises JobError while it runs."""
    if job.status.live:
        raise JobError(f"{job.name} is running. Stop it first.")
    shutil.rmtree(job.folder)


def _refuse_a_second_training(kind: str) -> None:
    if kind == "train" and (busy := next(live_jobs("train"), None)):
        raise JobError(f"{busy.name} is training on this machine. Wait until it is done, or stop it first.")


def _new_folder(recipe: Recipe, kind: str) -> Job:
    """A whole job folder appears at once: it is made aside and renamed."""
    moment = datetime.now()
    slug = "-".join("".join(c if c.isalnum() or c in "-_" else " " for c in recipe.name.lower()).split())
    aside = home.jobs_folder() / f".new-{os.getpid()}-{moment:%H%M%S%f}"
    aside.mkdir()
    files = home.JobFiles(aside)
    try:
        write_whole(files.recipe, to_yaml(recipe))
        append_line(files.events, {"time": moment.timestamp(), "event": "created", "kind": kind})
        return Job(_claim(aside, f"{moment:%Y%m%d-%H%M%S}-{slug}"))
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _claim(aside: Path, name: str) -> Path:
    for suffix in ("", *(f"-{n}" for n in range(2, 100))):
        folder = home.job_folder(name + suffix)
        if not folder.exists():
            return aside.rename(folder)
    raise JobError(f"There are already a hundred jobs named {name}.")


def _launch(job: Job) -> Job:
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with job.files.log.open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "core.jobs", str(job.folder)],
            cwd=home.ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process.write(job.files.process, process.born(worker.pid))
    return job
