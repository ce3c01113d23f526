"""What the commands of the command line share: their common options, and following a job to its end."""

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from core import follow
from core.errors import StudioError
from core.jobs import ending, launcher
from core.jobs.folder import Job
from core.jobs.status import Status

JobName = Annotated[str, typer.Argument(help="A job's id, or the name of its run (the newest is meant).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Detach = Annotated[bool, typer.Option("--detach", help="Return at once; the job goes on in the background.")]


def help_of(field: str, model: type[BaseModel]) -> str:
    """What a field says of itself."""
    return model.model_fields[field].description or ""


def given_values(**asked: Any) -> dict[str, Any]:
    """What was really asked for."""
    return {name: value for name, value in asked.items() if value is not None}


def watch(job: Job, detach: bool, as_json: bool) -> None:
    """Follow a job to its end, unless it shall go on alone; raises StudioError where it did not finish."""
    if not detach:
        follow_to_end(job, quiet=as_json)
    if as_json:
        print(json.dumps(follow.details(job)))
    elif detach:
        print(job.id)
    if not detach:
        must_have_finished(job)


def watch_all(jobs: list[Job], detach: bool, as_json: bool) -> None:
    """Follow jobs that run one after the other; Ctrl-C stops the one at work and takes the others out of the queue."""
    for place, job in enumerate([] if detach else jobs, 1):
        follow_to_end(job, as_json, behind=jobs[place:])
        if not as_json and job.status is not Status.FINISHED:
            print(ending.why(job))
    if as_json:
        print(json.dumps([follow.details(job) for job in jobs]))
    else:
        print("\n".join(_in_a_line(job) for job in jobs))
    if not detach and (missing := [job.id for job in jobs if job.status is not Status.FINISHED]):
        raise StudioError(f"Not finished: {', '.join(missing)}. `python -m core show JOB` says why.")


def _in_a_line(job: Job) -> str:
    """Its id, and what it reached once it is over."""
    row = follow.summary(job)
    named = {"loss": row["loss"], "held-out loss": row["held_out_loss"]}
    return "  ".join([job.id, *(f"{name} {follow.cell(value)}" for name, value in named.items() if value is not None)])


def must_have_finished(job: Job) -> None:
    if job.status is not Status.FINISHED:
        raise StudioError(ending.why(job) or f"{job.id} was {job.status}. `python -m core logs {job.id}` says more.")


def follow_to_end(job: Job, quiet: bool, behind: Sequence[Job] = ()) -> None:
    """Watch until it is over; the first Ctrl-C asks it to stop, and those `behind` it in the queue, the second ends it."""
    while job.status.live:
        try:
            follow.follow(job, quiet)
        except KeyboardInterrupt:
            live = [one for one in (*behind, job) if one.status.live]
            if job in live:  # it may have ended just now
                print("Stopping after this step. Press Ctrl-C again to end it at once.", file=sys.stderr)
            for one in live:
                launcher.stop(one)
