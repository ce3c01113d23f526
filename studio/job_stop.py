"""The button that stops a job which is a part of a page: a preparation, a probe, an evaluation."""

import streamlit as st

from core.jobs import launcher
from core.jobs.folder import Job
from core.jobs.status import Status


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
