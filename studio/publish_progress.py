"""How the newest publication of a run goes, or went; and going on with one that did not come to its end."""

import streamlit as st
from huggingface_hub import constants

from core.errors import JobError
from core.hub.publication import Publication, publications_of
from core.jobs import launcher
from core.jobs.asked import read
from core.jobs.ending import can_resume, why
from core.jobs.folder import Job
from core.jobs.status import Status
from studio.errors_shown import errors_shown
from studio.job_stop import job_under_way
from studio.live_part import live_part
from studio.markdown import plain, plain_lines
from studio.session import hub_token


def publish_progress(run: Job) -> None:
    """Nothing where it was never published."""
    newest = next(iter(publications_of(run)), None)
    if newest is None:
        return
    if newest.status.live:
        live_part("publishing", lambda job: job_under_way(job, "publishing:stop"), newest)
    else:
        _ended(newest)


def _ended(job: Job) -> None:
    if job.status is Status.FINISHED:
        repository = _repository(job)
        if repository:
            st.success(
                f"Published: [{plain(repository)}]({constants.ENDPOINT}/{repository})", icon=":material/cloud_done:"
            )
        return
    st.warning(plain_lines(why(job)), icon=":material/error:")
    if can_resume(job) and st.button("Go on", icon=":material/resume:", key="publishing:resume"):
        with errors_shown():
            launcher.resume(job, token=hub_token())
            st.rerun()


def _repository(job: Job) -> str | None:
    try:
        return read(job, Publication).repository
    except JobError:
        return None
