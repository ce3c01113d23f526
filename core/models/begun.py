"""The model that a run has begun with, as its worker has written it down: a resume, a chat, an export need the same. No torch."""

from typing import Any

from core.jobs.folder import Job
from core.jobs.listing import known_job
from core.models.left_out import LeftOut
from core.training.start import parent_of


def revision_of(job: Job) -> str | None:
    """The commit of its model, once it is known; before, what the recipe asks for."""
    revision = _written(job, "model").get("revision")
    return revision if isinstance(revision, str) else job.recipe.model.revision


def left_out_of(job: Job) -> LeftOut | None:
    """The layers that its model is without; None for a model that is whole.

    Which they are is measured once: an adapter fits the others alone, here and on any other machine.
    """
    count = job.recipe.model.drop_layers
    if not count:
        return None
    written = _written(job, "left_out")
    first, of = written.get("first"), written.get("of")
    if isinstance(first, int) and written.get("count") == count:
        return LeftOut(count, first, of if isinstance(of, int) else None)
    parent = known_job(parent_of(job.recipe))
    return left_out_of(parent) if parent and not parent.damage else LeftOut(count)


def _written(job: Job, name: str) -> dict[str, Any]:
    found = job.resolved.get(name)
    return found if isinstance(found, dict) else {}
