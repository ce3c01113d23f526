"""What a restore is asked: which backup to bring back, and whether to go on with it. No network."""

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import Field

from core.errors import HubError, JobError
from core.jobs import launcher
from core.jobs.asked import beside, filled, read
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.recipe import Recipe
from core.recipe_sections import HubId, Section


class Restore(Section):
    """One restore of one backup."""

    repository: HubId = Field(title="Backup", description="The repository of the backup on the Hub, `user/name`.")
    resume: bool = Field(True, title="Resume", description="Go on with the run once it is here.")


def start(repository: str, resume: bool = True, token: str | None = None) -> Job:
    """Begin to restore, in the background; the same twice is one job. `token` as for `launcher.start`. Raises StudioError."""
    asked = filled(Restore, {"repository": repository, "resume": resume}, HubError)
    named = re.sub(r"[^A-Za-z0-9._-]", "-", asked.repository.partition("/")[2])
    # What the run's own recipe is, the job learns from the Hub.
    recipe = Recipe(name=f"restore {named}"[:60])
    return launcher.start(recipe, "restore", beside("restore", asked), token)


def cut_off() -> Iterator[tuple[Job, str]]:
    """The restores that have ended early and kept what they had fetched, newest first; the backup of each."""
    for job in all_jobs("restore"):
        with suppress(JobError):  # its folder is damaged
            if job.files.fetched.is_dir() and not job.status.live:
                yield job, read(job, Restore).repository


def kept_of(repository: str) -> Path | None:
    """What an earlier restore of a backup has fetched before it was cut off."""
    return next((job.files.fetched for job, of in cut_off() if of == repository), None)


def discard(job: Job) -> None:
    """Remove what a restore has kept."""
    shutil.rmtree(job.files.scratch, ignore_errors=True)
