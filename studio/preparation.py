"""Prepare the draft's data: the button, the progress while it runs, and why it failed if it did."""

import streamlit as st

from core.data.preview import last_preparation, prepared_for, preparing
from core.jobs import launcher
from core.jobs.ending import why
from core.jobs.folder import Job
from core.jobs.status import Status
from studio import session
from studio.errors_shown import errors_shown
from studio.job_stop import job_under_way
from studio.layout import split
from studio.live_part import live_part
from studio.markdown import plain_lines
from studio.prepared_view import prepared_view


def preparation() -> None:
    """One of three: the work under way, the prepared set, or the invitation to prepare."""
    recipe = session.draft()
    if job := preparing(recipe):
        live_part("preparing", _under_way, job)
    elif prepared := prepared_for(recipe):
        prepared_view(prepared)
    else:
        _invitation(last_preparation(recipe))


def _under_way(job: Job) -> None:
    with st.container(border=True):
        job_under_way(job, "preparing:stop")


def _invitation(last: Job | None) -> None:
    if last and last.status in (Status.FAILED, Status.INTERRUPTED):
        st.error(plain_lines(why(last)), icon=":material/error:")
    with st.container(border=True), split():
        with st.container(gap=None, width="content"):
            st.markdown("**Not prepared yet**", width="content")
            st.caption(
                "Preparing turns rows into the tokens that train, and shows them here. "
                "Training prepares by itself if you do not.",
                width="content",
            )
        clicked = st.button("Prepare", icon=":material/play_arrow:", key="prepare")
    if clicked:
        with errors_shown():
            launcher.start(session.draft(), "prepare", token=session.hub_token())
            st.rerun()
