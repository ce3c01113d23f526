"""What a job is asked beside its recipe: one more file of its folder, written as it starts and read by the job. No torch."""

from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from core import home
from core.errors import JobError, StudioError
from core.jobs.folder import Job
from core.plain_yaml import parsed
from core.recipe_problems import sentences
from core.recipe_sections import Section

S = TypeVar("S", bound=Section)


def filled(model: type[S], values: dict[str, Any], wrong: type[StudioError] = JobError) -> S:
    """What is asked, from what differs of the defaults; raises `wrong` with all that is not usable."""
    try:
        return model(**values)
    except ValidationError as error:
        raise wrong("\n".join(sentences(error.errors(), model))) from None


def beside(kind: str, asked: Section) -> dict[str, str]:
    """The file of a new job's folder that says it, name -> text."""
    return {home.ASKED[kind]: yaml.safe_dump(asked.model_dump(mode="json"), sort_keys=False, allow_unicode=True)}


def read(job: Job, model: type[S]) -> S:
    """What a job was asked; raises JobError where its file was broken."""
    try:
        return model.model_validate(values_of(job))
    except ValueError as error:
        raise _damaged(job) from error


def values_of(job: Job) -> Any:
    """The same as it stands in the file, whatever that is; raises JobError."""
    try:
        return parsed(job.files.asked(job.kind).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise _damaged(job) from error


def _damaged(job: Job) -> JobError:
    return JobError(f"The job {job.id} is damaged: its {home.ASKED[job.kind]} cannot be read.")
