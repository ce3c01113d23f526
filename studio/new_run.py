"""Begin a new run with what an earlier one has: its recipe, or its recipe and its adapter."""

import re

from core.jobs.folder import Job
from core.recipe import LONGEST_NAME, Recipe
from core.training.methods import METHODS
from studio.navigation import go_to
from studio.session import notify, replace_draft

NOT_ALLOWED = re.compile(r"[^A-Za-z0-9 ._-]+")
CONTINUED = re.compile(r"(?P<name>.*) continued(?: (?P<times>\d+))?")


def new_run_from(job: Job) -> None:
    """The same recipe, to be changed; the adapter begins anew."""
    _begin(job, job.recipe.without_backup())


def continue_from(job: Job, step: int | None = None) -> None:
    """A new run that begins with the final adapter or model, or with that of a checkpoint."""
    _begin(job, continued(job, step))


def _begin(job: Job, recipe: Recipe) -> None:
    """On LoRA; the settings that stood there may have been hours of work, so it is said how they come back."""
    if replace_draft(recipe):
        notify(f"All settings are those of {job.name} now. Those before can be brought back, under Recipe.")
    go_to("lora")


def continued(job: Job, step: int | None = None) -> Recipe:
    """The recipe of a run that goes on from this one."""
    if METHODS[job.recipe.lora.method].whole:
        folder = job.files.model if step is None else job.files.checkpoint(step)
        begin = {"source": str(folder), "revision": None, "drop_layers": 0}
    else:
        begin = {"start_from": job.id if step is None else f"{job.id}@{step}"}
    model = job.recipe.model.model_copy(update=begin)
    return job.recipe.without_backup().model_copy(update={"name": continued_name(job.name), "model": model})


def continued_name(name: str) -> str:
    """my-run continued, my-run continued 2; of a name that a person wrote, what a recipe's name may hold."""
    found = CONTINUED.fullmatch(name)
    ending = f" continued {int(found['times'] or 1) + 1}" if found else " continued"
    base = NOT_ALLOWED.sub("", found["name"] if found else name).lstrip(" ._-") or "run"
    return base[: LONGEST_NAME - len(ending)].rstrip() + ending
