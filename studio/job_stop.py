"""A job which is a part of a page, such as a preparation or an evaluation: how far it is, and the button that stops it."""

import streamlit as st

from core.jobs import launcher
from core.jobs.folder import Job
from core.jobs.status import Status
from studio.layout import split
from studio.progress import progress_bar


def job_under_way(job: Job, key: str) -> None:
    """Its progress, with the button beside it; drawn in a live part."""
    with split():
        with st.container(width="stretch"):
            progress_bar(job)
        job_stop(job, key)


def job_stop(job: Job, key: str, label: str = "Stop") -> None:
    st.button(
        label,
        icon=":material/stop_circle:",
        key=key,
        disabled=job.status is Status.STOPPING,
        on_click=_stop,
        args=(job,),
    )


def _stop(job: Job) -> None:
    """Only ever the first request, and none once it is over: the page may be older than the job."""
    if job.status.live and job.status is not Status.STOPPING:
        launcher.stop(job)
