"""Which run a page is about."""

from core.jobs.folder import Job, all_jobs, live_jobs
from studio.session import selected_job


def run_to_show() -> Job | None:
    """The chosen run, else the one that trains now, else the newest."""
    return selected_job() or next(live_jobs("train"), None) or next(iter(all_jobs("train")), None)
