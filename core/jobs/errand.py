"""A job about a run, such as an evaluation: which run, and what is asked, stand in one more file of its folder. No torch."""

from typing import Any, TypeVar

import yaml
from pydantic import Field, ValidationError

from core import home
from core.errors import JobError
from core.jobs.folder import Job
from core.jobs.listing import all_jobs, known_job
from core.jobs.outcome import folder_of
from core.recipe_problems import sentences
from core.recipe_sections import Line, Section


class Errand(Section):
    """What every job about a run is asked."""

    run: Line = Field(title="Run", description="The id of the run it is about.")
    step: int | None = Field(
        None, ge=1, title="Checkpoint", description="The checkpoint of this step. Empty: the run's result."
    )


E = TypeVar("E", bound=Errand)


def errand(model: type[E], run_id: str, values: dict[str, Any], otherwise: str) -> E:
    """What is asked of a run that has something to do it with, from what differs of the defaults; raises JobError.

    `otherwise` says what there is nothing for, such as `to evaluate`.
    """
    try:
        asked = model(run=run_id, **values)
    except ValidationError as error:
        raise JobError("\n".join(sentences(error.errors(), model))) from None
    run = run_of(asked)
    if run.damage or run.kind != "train":
        raise JobError(run.damage or f"{run.name} is not a training, so there is nothing {otherwise}.")
    folder_of(run, asked.step, otherwise)
    return asked


def run_of(asked: Errand) -> Job:
    """The run it is about; raises JobError."""
    if run := known_job(asked.run):
        return run
    raise JobError(f"The run {asked.run} is not there.")


def beside(kind: str, asked: Errand) -> dict[str, str]:
    """The file of a new job's folder that says it, name -> text."""
    return {home.ASKED[kind]: yaml.safe_dump(asked.model_dump(mode="json"), sort_keys=False, allow_unicode=True)}


def read(job: Job, model: type[E]) -> E:
    """What a job was asked; raises JobError where its file was broken."""
    try:
        return model.model_validate(_values(job))
    except ValueError as error:
        raise _damaged(job) from error


def errands_of(run: Job, kind: str) -> list[Job]:
    """The jobs of this kind about a run, newest first."""
    return [job for job in all_jobs(kind) if not job.damage and _run_id(job) == run.id]


def all_errands_of(run: Job) -> list[Job]:
    """Everything that was done with a run, whatever it was."""
    return [job for kind in home.ASKED for job in errands_of(run, kind)]


def _run_id(job: Job) -> Any:
    try:
        found = _values(job)
    except JobError:
        return None
    return found.get("run") if isinstance(found, dict) else None


def _values(job: Job) -> Any:
    try:
        return yaml.safe_load(job.files.asked(job.kind).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise _damaged(job) from error


def _damaged(job: Job) -> JobError:
    return JobError(f"The job {job.id} is damaged: its {home.ASKED[job.kind]} cannot be read.")
