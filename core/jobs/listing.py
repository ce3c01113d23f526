"""Find jobs: all of them, those at work, the one of a name."""

import os
import time
from pathlib import Path

from core import home
from core.errors import JobError, StudioError
from core.jobs.folder import Job
from core.jobs.status import Status


def all_jobs(kind: str | None = None) -> list[Job]:
    """Every job, newest first; with a kind, only those."""
    return [job for job in _every_job() if kind in (None, job.kind)]


def live_jobs(kind: str | None = None) -> list[Job]:
    """The jobs whose process lives, newest first: at work, or waiting for their turn."""
    # A job with a result is over, so only the few others are looked at closely.
    open_ones = [job for job in _every_job() if not job.files.result.exists()]
    return [job for job in open_ones if kind in (None, job.kind) and job.status.live]


def training_now() -> Job | None:
    """The training that uses the machine; the newest of them where several GPUs are at work.

    One that is starting may have to wait yet, so it comes after all that have begun.
    """
    at_work = [job for job in live_jobs("train") if job.status.at_work]
    return min(at_work, key=lambda job: job.status is Status.STARTING, default=None)


def find_run(name: str) -> Job:
    """As `find_job`, among the trainings alone: an evaluation has the name of its run."""
    return find_job(name, "train")


def find_job(name: str, kind: str | None = None) -> Job:
    """The job with this id, or the newest of this name, a training before what was done with one; raises JobError."""
    jobs = all_jobs(kind)
    named = [job for job in jobs if job.name == name]
    matches = [job for job in jobs if job.id == name] or [job for job in named if job.kind == "train"] or named
    if not matches:
        known = ", ".join(job.id for job in jobs[:5]) or "there are none yet"
        raise JobError(f"There is no job {name!r}. The newest are: {known}. `python -m core jobs` lists all of them.")
    return matches[0]


def known_job(job_id: str | None) -> Job | None:
    """The job with this id if its folder is there."""
    try:
        folder = home.job_folder(job_id or "")
    except StudioError:
        return None
    return _job(str(folder.parent), folder.name) if folder.is_dir() else None


# A file system may give two changes in quick succession the same time.
SETTLED_S = 2.0

_jobs: dict[tuple[str, str], Job] = {}


def _job(folder: str, name: str) -> Job:
    """One handle per folder, so that a recipe is parsed once in the life of the app."""
    key = (folder, name)
    if key not in _jobs:
        _jobs[key] = Job(Path(folder) / name)
    return _jobs[key]


def _every_job() -> list[Job]:
    """All of them, newest first. Listed again once the folder has changed, or has changed so lately that it may again."""
    folder = str(home.jobs_folder())
    try:
        changed = Path(folder).stat().st_mtime
    except FileNotFoundError:
        return []
    known, jobs = _listings.get(folder, (0.0, []))
    if known != changed or time.time() - changed < SETTLED_S:
        with os.scandir(folder) as entries:
            names = sorted((e.name for e in entries if not e.name.startswith(".") and e.is_dir()), reverse=True)
        jobs = [_job(folder, name) for name in names]
        _listings[folder] = (changed, jobs)
    return jobs


# Folder -> when it was changed last, and the jobs in it then.
_listings: dict[str, tuple[float, list[Job]]] = {}
