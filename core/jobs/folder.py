"""Read a job: the files of its folder are the truth, everything else is derived from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from core import home
from core.errors import JobError, RecipeError, StudioError
from core.jobs import process
from core.jobs.metrics import Metrics, metrics_of
from core.jobs.tail import lines_of, object_of
from core.recipe import Recipe
from core.recipe_yaml import load

Row = dict[str, Any]


class Status(StrEnum):
    STARTING = "starting"
    PREPARING = "preparing"
    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    DAMAGED = "damaged"

    @property
    def live(self) -> bool:
        return self in (Status.STARTING, Status.PREPARING, Status.RUNNING, Status.STOPPING)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has its manifest, so all of it is there."""

    step: int
    folder: Path
    manifest: Row

    @property
    def size_bytes(self) -> int:
        return sum(file["size_bytes"] for file in self.manifest["files"].values())


@dataclass(frozen=True)
class Job:
    """A handle on one job folder. Cheap to make; every read looks at the files."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def files(self) -> home.JobFiles:
        return home.JobFiles(self.folder)

    @cached_property
    def recipe(self) -> Recipe:
        """What was asked; it never changes. Raises RecipeError where the file was broken."""
        return load(self.files.recipe)

    @property
    def name(self) -> str:
        return self.id if self.damage else self.recipe.name

    @cached_property
    def damage(self) -> str | None:
        """Why this folder cannot be read as a job, or None."""
        try:
            self.recipe  # noqa: B018
        except RecipeError as error:
            return f"The job {self.id} is damaged. {error}"
        return None

    @property
    def resolved(self) -> Row:
        """What it became: revisions, device, precision, versions. Empty until the worker knows."""
        try:
            return yaml.safe_load(self.files.resolved.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError):
            return {}

    @property
    def events(self) -> list[Row]:
        return lines_of(self.files.events)

    @property
    def metrics(self) -> Metrics:
        return metrics_of(self.files.metrics)

    @property
    def result(self) -> Row | None:
        return object_of(self.files.result)

    @property
    def kind(self) -> str:
        """`train` or `prepare`."""
        return next((event["kind"] for event in self.events if event.get("event") == "created"), "train")

    @property
    def created(self) -> float:
        """Seconds since the epoch."""
        return self.events[0].get("time", 0.0) if self.events else self.folder.stat().st_mtime

    @property
    def worker(self) -> process.Birth | None:
        return process.read(self.files.process)

    @property
    def status(self) -> Status:
        if self.damage:
            return Status.DAMAGED
        if result := self.result:
            return _ended(result)
        if self.worker is None:
            return Status.STARTING if process.just_now(self.created) else Status.INTERRUPTED
        if not self.worker.alive:
            # The worker may have written its result between the two looks.
            return _ended(self.result) if self.result else Status.INTERRUPTED
        return Status(self.phase or Status.STARTING)

    @property
    def phase(self) -> str | None:
        """The last phase the worker entered: preparing, running or stopping."""
        return next((event["phase"] for event in reversed(self.events) if event.get("event") == "phase"), None)

    @property
    def progress(self) -> Row:
        """The newest `progress` event: `what`, `done`, `total`; empty before the first."""
        return next((event for event in reversed(self.events) if event.get("event") == "progress"), {})

    @property
    def total_steps(self) -> int | None:
        """How many steps the training will take; None until the worker knows."""
        return next((event["total_steps"] for event in self.events if "total_steps" in event), None)

    @property
    def duration_s(self) -> float:
        """Seconds from the creation to the last sign of life."""
        end = (self.result or {}).get("time") or (self.events[-1]["time"] if self.events else self.created)
        return process.now() - self.created if self.status.live else end - self.created

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Those that can be used, oldest first."""
        found = (_checkpoint(folder) for folder in self.files.checkpoints.glob("step-*"))
        return sorted((checkpoint for checkpoint in found if checkpoint), key=lambda checkpoint: checkpoint.step)

    def log_tail(self, longest_bytes: int = 20_000) -> str:
        """The end of what the worker printed."""
        try:
            with self.files.log.open("rb") as file:
                file.seek(max(0, self.files.log.stat().st_size - longest_bytes))
                return file.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""


def _checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint of a folder; None without a manifest, or with one that somebody has broken."""
    manifest = object_of(home.manifest_file(folder)) or {}
    step, files = manifest.get("step"), manifest.get("files")
    sound = isinstance(step, int) and isinstance(files, dict) and all("size_bytes" in facts for facts in files.values())
    return Checkpoint(step, folder, manifest) if sound else None


def all_jobs(kind: str | None = None) -> list[Job]:
    """Every job, newest first; with a kind, only those."""
    folder = home.jobs_folder()
    names = sorted((p.name for p in folder.iterdir() if _is_job(p)), reverse=True) if folder.is_dir() else []
    jobs = [_job(str(folder), name) for name in names]
    return [job for job in jobs if kind in (None, job.kind)]


def live_jobs(kind: str | None = None) -> Iterator[Job]:
    """The jobs whose worker is at work, newest first."""
    return (job for job in all_jobs(kind) if job.status.live)


def find_job(name: str) -> Job:
    """The job with this id, or the newest whose run has this name; raises JobError."""
    jobs = all_jobs()
    matches = [job for job in jobs if job.id == name] or [job for job in jobs if job.name == name]
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


_jobs: dict[tuple[str, str], Job] = {}


def _job(folder: str, name: str) -> Job:
    """One handle per folder, so that a recipe is parsed once in the life of the app."""
    key = (folder, name)
    if key not in _jobs:
        _jobs[key] = Job(Path(folder) / name)
    return _jobs[key]


def _ended(result: Row) -> Status:
    """How a job ended; a result file that says something else was not written by a worker."""
    known = (Status.FINISHED, Status.STOPPED, Status.FAILED)
    return next((status for status in known if status == result.get("status")), Status.DAMAGED)


def _is_job(path: Path) -> bool:
    return not path.name.startswith(".") and path.is_dir()
