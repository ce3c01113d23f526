"""Read a job: the files of its folder are the truth, everything else is derived from them."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from core import home
from core.errors import RecipeError
from core.jobs import process
from core.jobs.about import About, about_in
from core.jobs.checkpoint import Broken, Checkpoint, checkpoints_in
from core.jobs.kinds import KINDS
from core.jobs.metrics import Metrics, metrics_of
from core.jobs.status import Status
from core.jobs.tail import events_of, latest_of, object_of
from core.plain_yaml import parsed
from core.recipe import Recipe
from core.recipe_yaml import load

Row = dict[str, Any]

# The events with which a worker's life begins.
BEGINNINGS = ("created", "resuming")
# Those that others write, who may outlive the worker by hours: no signs of its life.
OF_THE_BACKUP = ("backing_up", "backed_up", "backup_failed", "backup_left_out", "restored")


@dataclass(frozen=True)
class Job:
    """A handle on one job folder. Cheap to make; every read looks at the files."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @cached_property
    def files(self) -> home.JobFiles:
        return home.JobFiles(self.folder)

    @cached_property
    def recipe(self) -> Recipe:
        """What was asked; it never changes. Raises RecipeError where the file was broken."""
        return load(self.files.recipe)

    @property
    def about(self) -> About:
        """The name, tags and note that a person gave it later."""
        return about_in(self.files.about)

    @property
    def name(self) -> str:
        return self.about.name or (self.id if self._recipe_damage else self.recipe.name)

    @cached_property
    def _recipe_damage(self) -> str | None:
        try:
            self.recipe  # noqa: B018
        except RecipeError as error:
            return str(error)
        return None

    @property
    def damage(self) -> str | None:
        """Why this folder cannot be read as a job, or None."""
        if self._recipe_damage:
            return f"The job {self.id} is damaged. {self._recipe_damage}"
        if self.files.result.exists() and _ended(self.result) is Status.DAMAGED:
            return f"The job {self.id} is damaged. {self.files.result} is not what a worker writes."
        return None

    @property
    def resolved(self) -> Row:
        """What it became: revisions, device, precision, versions. Empty until the worker knows."""
        try:
            found = parsed(self.files.resolved.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def events(self) -> list[Row]:
        return events_of(self.files.events)

    @property
    def metrics(self) -> Metrics:
        return metrics_of(self.files.metrics)

    @property
    def result(self) -> Row | None:
        return object_of(self.files.result)

    @cached_property
    def kind(self) -> str:
        """One of `KINDS`."""
        kind = next((event for event in self.events if event["event"] == "created"), {}).get("kind")
        return kind if kind in KINDS else "train"

    @property
    def created(self) -> float:
        """Seconds since the epoch."""
        return self.events[0]["time"] if self.events else self.folder.stat().st_mtime

    @property
    def began(self) -> float:
        """When its newest worker was asked for: at the creation, or at the last resume."""
        return (self._newest(*BEGINNINGS) or {"time": self.created})["time"]

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
            begins = process.just_now(self.began) and not self.newest_event("restored")
            return Status.STARTING if begins else Status.INTERRUPTED
        if not self.worker.alive:
            # The worker may have written its result between the two looks.
            return _ended(self.result) if self.result else self._silent_end
        return Status.STOPPING if self.stop_asked else Status(self.phase or Status.STARTING)

    @property
    def _silent_end(self) -> Status:
        """A worker that was asked to stop before it could listen ends without a word."""
        return Status.STOPPED if self.stop_asked and self.phase is None else Status.INTERRUPTED

    @property
    def prepared_key(self) -> str | None:
        """The prepared set this job has found or made, once it has."""
        key = (self._newest("prepared") or {}).get("key")
        return key if isinstance(key, str) else None

    @property
    def phase(self) -> str | None:
        """The last phase its newest worker entered: queued, preparing, running or stopping."""
        phase = (self.newest_event("phase") or {}).get("phase")
        return phase if phase in ("queued", "preparing", "running", "stopping") else None

    @property
    def stop_asked(self) -> Row | None:
        """The request to stop the newest worker, if there is one."""
        return self.newest_event("stop_requested")

    @property
    def progress(self) -> Row:
        """The newest `progress` event: `what`, `done`, `total`; empty before the first."""
        newest = self.newest_event("progress") or {}
        counted = all(isinstance(newest.get(name), int) for name in ("done", "total"))
        return newest if counted and isinstance(newest.get("what"), str) else {}

    @property
    def total_steps(self) -> int | None:
        """How many steps the training will take; None until the worker knows."""
        total = (self._newest("training") or {}).get("total_steps")
        return total if isinstance(total, int) else None

    @property
    def duration_s(self) -> float:
        """Seconds its workers have worked, to the last sign of life; breaks and waiting in the queue do not count."""
        before = _seconds((self._newest(*BEGINNINGS) or {}).get("before_s"), 0.0)
        if self._only_waited:
            return before
        begun = self._newest(*BEGINNINGS, "turn") or {"time": self.created}
        signs = (event["time"] for event in reversed(self.events) if event["event"] not in OF_THE_BACKUP)
        last = next(signs, begun["time"])
        end = process.now() if self.status.live else _seconds((self.result or {}).get("time"), last)
        return before + max(0.0, end - begun["time"])

    @property
    def _only_waited(self) -> bool:
        """Whether its newest worker never had its turn: it waits in the queue, or was taken out of it."""
        if self.phase not in ("queued", "stopping"):
            return False
        since = takewhile(lambda event: event["event"] not in (*BEGINNINGS, "turn"), reversed(self.events))
        return any(event.get("phase") == "queued" for event in since)

    @property
    def final(self) -> Path | None:
        """The folder of the final adapter, or of the final model; None before the end."""
        return next((folder for folder in self.files.finals if folder.is_dir()), None)

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Those that can be used, oldest first."""
        return checkpoints_in(self.files)[0]

    def checkpoint_of(self, step: int) -> Checkpoint | None:
        """The checkpoint of a step, if it can be used."""
        return next((checkpoint for checkpoint in self.checkpoints if checkpoint.step == step), None)

    @property
    def broken_checkpoints(self) -> list[Broken]:
        """Those that cannot, oldest first; a live worker may be writing one."""
        return checkpoints_in(self.files)[1]

    @property
    def best_step(self) -> int | None:
        """The saved checkpoint with the lowest held-out loss of its own step; None where none was measured there."""
        measured = self.metrics.held_out_at
        return min((c.step for c in self.checkpoints if c.step in measured), key=measured.__getitem__, default=None)

    def log_tail(self, longest_bytes: int = 20_000) -> str:
        """The end of what the worker printed."""
        try:
            with self.files.log.open("rb") as file:
                file.seek(max(0, self.files.log.stat().st_size - longest_bytes))
                return file.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def newest_event(self, name: str) -> Row | None:
        """The newest event of a name that its newest worker, or somebody since its start, has written."""
        found = self._newest(name, *BEGINNINGS)
        return found if found and found["event"] == name else None

    def _newest(self, *names: str) -> Row | None:
        return latest_of(self.files.events, *names)


def _seconds(value: Any, otherwise: float) -> float:
    """A number of a file that somebody may have edited."""
    return value if isinstance(value, int | float) and math.isfinite(value) else otherwise


def _ended(result: Row | None) -> Status:
    """How a job ended; a result file that says something else was not written by a worker."""
    known = (Status.FINISHED, Status.STOPPED, Status.FAILED)
    return next((status for status in known if status == (result or {}).get("status")), Status.DAMAGED)
