"""Which run a page is about."""

from core.jobs.folder import Job
from core.jobs.listing import all_jobs, training_now
from studio.session import selected_job


def run_to_show() -> Job | None:
    """The chosen run, else the one that trains now, else the newest."""
    return selected_job() or training_now() or next(iter(all_jobs("train")), None)
