"""Which run a page is about."""

import streamlit as st

from core.jobs.folder import Job
from core.jobs.listing import all_jobs, known_job, training_now
from studio.navigation import RUN
from studio.session import selected_job


def run_to_show() -> Job | None:
    """The run that the page's address names; from the menu, which names none, the one whose percentage stands there.

    Where nothing trains, the chosen run, else the newest.
    """
    job = _named() or training_now() or selected_job() or next(iter(all_jobs("train")), None)
    if job and st.query_params.get(RUN) != job.id:
        st.query_params[RUN] = job.id
    return job


def _named() -> Job | None:
    job = known_job(st.query_params.get(RUN))
    return job if job and job.kind == "train" else None
