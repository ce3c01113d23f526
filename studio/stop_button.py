"""Stop, with its confirmation: the first request saves, a second one ends the worker at once."""

import time

import streamlit as st

from core.jobs import launcher
from core.jobs.folder import Job, Status
from studio.session import recall, remember

# A double click on the first button must not land on the second.
PATIENCE_S = 4


def stop_button(job: Job) -> None:
    """A popover with one sentence and one button."""
    with st.popover(":red[Stop]", icon=":material/stop_circle:", key="stop"):
        if job.status is Status.STOPPING:
            _second_request(job)
            return
        st.markdown(_promise(job))
        # Looked at again: the page may have been drawn before another tab asked, and a second request kills.
        if st.button("Stop and save", key="stop:save", width="stretch") and job.status is not Status.STOPPING:
            remember(f"stop asked:{job.id}", time.monotonic())
            launcher.stop(job)


def _promise(job: Job) -> str:
    if not len(job.metrics):
        return "Nothing has been trained yet, so there is nothing to save."
    return "The step under way is finished and saved first. You can chat with it."


def _second_request(job: Job) -> None:
    st.markdown("It is finishing its step, then it saves.")
    if time.monotonic() - recall(f"stop asked:{job.id}", 0.0) < PATIENCE_S:
        return
    st.caption("Stopping at once loses the steps since the last checkpoint.")
    if st.button(":red[Stop at once]", key="stop:at once", width="stretch") and job.status is Status.STOPPING:
        launcher.stop(job)
