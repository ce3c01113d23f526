"""What a restore is asked: which backup to bring back, and whether to go on with it. No network."""

import re

import yaml
from pydantic import Field, ValidationError

from core import home
from core.errors import HubError, JobError
from core.jobs import launcher
from core.jobs.folder import Job
from core.recipe import Recipe
from core.recipe_problems import sentences
from core.recipe_sections import HubId, Section


class Restore(Section):
    """One restore of one backup."""

    repository: HubId = Field(title="Backup", description="The repository of the backup on the Hub, `user/name`.")
    resume: bool = Field(True, title="Resume", description="Go on with the run once it is here.")


def start(repository: str, resume: bool = True, token: str | None = None) -> Job:
    """Begin to restore, in the background; the same twice is one job. `token` as for `launcher.start`. Raises StudioError."""
    try:
        asked = Restore(repository=repository, resume=resume)
    except ValidationError as error:
        raise HubError("\n".join(sentences(error.errors(), Restore))) from None
    named = re.sub(r"[^A-Za-z0-9._-]", "-", asked.repository.partition("/")[2])
    # What the run's own recipe is, the job learns from the Hub.
    recipe = Recipe(name=f"restore {named}"[:60])
    return launcher.start(recipe, "restore", {home.RESTORE_ASKED: yaml.safe_dump(asked.model_dump())}, token)


def asked_of(job: Job) -> Restore:
    """What a restore job was asked; raises JobError where its file was broken."""
    try:
        return Restore.model_validate(yaml.safe_load(job.files.restore_asked.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise JobError(
            f"The restore {job.id} is damaged: its {job.files.restore_asked.name} cannot be read."
        ) from error
