"""Begin an export of a run, in the background. No torch."""

from typing import Any

from core.export.asked import NOTHING, Export, parts
from core.jobs import launcher
from core.jobs.asked import beside
from core.jobs.errand import errand, run_of
from core.jobs.folder import Job


def start(run_id: str, values: dict[str, Any], token: str | None = None) -> Job:
    """The job, from what differs of the fields' defaults; the very same is not started twice. Raises StudioError.

    `token` is for the Hub, if another than this machine's: a base model that is merged into may have to be fetched.
    """
    asked = errand(Export, run_id, values, NOTHING)
    run = run_of(asked)
    parts(asked, run.recipe)
    return launcher.start(run.recipe, "export", beside("export", asked), token)
