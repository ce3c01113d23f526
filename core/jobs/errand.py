"""A job about a run, such as an evaluation: which run, and what is asked, stand in one more file of its folder. No torch."""

from typing import Any, TypeVar

from pydantic import Field

from core import home
from core.errors import JobError
from core.jobs.asked import filled, values_of
from core.jobs.folder import Job
from core.jobs.listing import all_jobs, known_job
from core.jobs.outcome import folder_of, step_of
from core.jobs.status import Status
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

    Of a run that is not finished it is asked by the step: another may be its result once it has gone on. `otherwise` says
    what there is nothing for, such as `to evaluate`.
    """
    asked = filled(model, {"run": run_id} | values)
    run = run_of(asked)
    if run.damage or run.kind != "train":
        raise JobError(run.damage or f"{run.name} is not a training, so there is nothing {otherwise}.")
    folder_of(run, asked.step, otherwise)
    return asked.model_copy(update={"step": asked.step or _step_so_far(run)})


def _step_so_far(run: Job) -> int | None:
    """The step of what it has made, where that may change and there is a checkpoint of it."""
    if run.final and run.status is Status.FINISHED:
        return None
    checkpoint = run.checkpoint_of(step_of(run))
    return checkpoint.step if checkpoint else None


def run_of(asked: Errand) -> Job:
    """The run it is about; raises JobError."""
    if run := known_job(asked.run):
        return run
    raise JobError(f"The run {asked.run} is not there.")


def run_about(job: Job) -> Job | None:
    """The run that a job is about, if it is about one that is there."""
    found = _run_id(job) if job.kind in home.ASKED else None
    return known_job(found) if isinstance(found, str) else None


def errands_of(run: Job, kind: str) -> list[Job]:
    """The jobs of this kind about a run, newest first."""
    return [job for job in all_jobs(kind) if not job.damage and _run_id(job) == run.id]


def all_errands_of(run: Job) -> list[Job]:
    """Everything that was done with a run, whatever it was."""
    return [job for kind in home.ASKED for job in errands_of(run, kind)]


def _run_id(job: Job) -> Any:
    try:
        found = values_of(job)
    except JobError:
        return None
    return found.get("run") if isinstance(found, dict) else None
