"""What the commands of the command line share: their common options, and following a job to its end."""

import json
import sys
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


def must_have_finished(job: Job) -> None:
    if job.status is not Status.FINISHED:
        raise StudioError(ending.why(job) or f"{job.id} was {job.status}. `python -m core logs {job.id}` says more.")


def follow_to_end(job: Job, quiet: bool) -> None:
    """Watch until it is over; the first Ctrl-C asks it to stop, the second ends it."""
    while job.status.live:
        try:
            follow.follow(job, quiet)
        except KeyboardInterrupt:
            if job.status.live:  # it may have ended just now
                print("Stopping after this step. Press Ctrl-C again to end it at once.", file=sys.stderr)
                launcher.stop(job)
