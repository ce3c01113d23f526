"""What a publication is asked: which weights of which run, where to, and who may see them. No torch."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from core.errors import JobError
from core.export.asked import Export, parts
from core.hub.names import hub_id
from core.jobs import launcher
from core.jobs.asked import beside, read
from core.jobs.errand import errand, errands_of, run_of
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.jobs.status import Status
from core.recipe_sections import HubId

NOTHING = "to publish"


class Publication(Export):
    """One publication of one run. Another one to the same repository is its next version."""

    repository: HubId = Field(
        title="Repository",
        description="Where it goes, as `owner/name`: you, or an organisation you may write to. It is made if it is not "
        "there; publishing again updates it.",
    )
    private: bool | None = Field(
        None,
        title="Private",
        description="Only you, or your organisation, can see it. Off: everybody can. Publishing again changes it where it says "
        "otherwise. Empty: it stays as it is on the Hub, and a new one is private.",
    )


def asked_for(run_id: str, values: dict[str, Any]) -> Publication:
    """What is asked, from what differs of the fields' defaults; raises JobError where it cannot be."""
    asked = errand(Publication, run_id, values, NOTHING)
    run = run_of(asked)
    if "adapter" in parts(asked, run.recipe) and hub_id(run.recipe.model.source) is None:
        raise JobError(
            f"{run.name} was trained on the folder {run.recipe.model.source}, which others do not have, so its adapter alone "
            "cannot be loaded elsewhere. Publish it merged."
        )
    return asked


def start(run_id: str, values: dict[str, Any], token: str | None = None) -> Job:
    """The job; the very same is not started twice. Raises StudioError. `token` is the Hub's, if another than this machine's."""
    asked = asked_for(run_id, values)
    return launcher.start(run_of(asked).recipe, "publish", beside("publish", asked), token)


def publications_of(run: Job) -> list[Job]:
    """Newest first."""
    return errands_of(run, "publish")


@dataclass(frozen=True)
class Earlier:
    """How often something was published to one repository, of whichever run, and whether it was private at last."""

    times: int
    private: bool


def earlier(repository: str) -> Earlier | None:
    """What is known of it without asking the Hub; None where nothing was published there from here."""
    wishes = [asked.private for asked in _finished() if asked.repository == repository]
    private = next((private for private in wishes if private is not None), True)
    return Earlier(len(wishes), private) if wishes else None


def _finished() -> Iterator[Publication]:
    """Newest first; damaged ones are left out."""
    for job in all_jobs("publish"):
        with suppress(JobError):
            if job.status is Status.FINISHED:
                yield read(job, Publication)
