"""Which run a page is about."""

import streamlit as st

from core.jobs.folder import Job
from core.jobs.listing import all_jobs, known_job, training_now
from studio import session
from studio.navigation import RUN

# Whether this tab has looked at the address of Runs: later its own choice counts.
RESTORED = "runs restored"


def run_to_show() -> Job | None:
    """The run that the page's address names; from the menu, which names none, the one whose percentage stands there.

    Where nothing trains, the chosen run, else the newest.
    """
    job = _named() or training_now() or session.selected_job() or next(iter(all_jobs("train")), None)
    if job and st.query_params.get(RUN) != job.id:
        st.query_params[RUN] = job.id
    return job


def chosen_runs() -> list[Job]:
    """Those that are chosen on Runs; after a reload those that the page's address names, which follows the choice."""
    if not session.recall(RESTORED) and not session.selected_jobs():
        session.select_jobs([job.id for job in map(_training, st.query_params.get_all(RUN)) if job])
    session.remember(RESTORED, True)
    chosen = session.selected_jobs()
    if st.query_params.get_all(RUN) != [job.id for job in chosen]:
        st.query_params[RUN] = [job.id for job in chosen]
    return chosen


def _named() -> Job | None:
    return _training(st.query_params.get(RUN))


def _training(job_id: str | None) -> Job | None:
    job = known_job(job_id)
    return job if job and job.kind == "train" else None
