"""Stop, with its confirmation: keep what was learned, or discard it; a second request ends the worker at once."""

import time

import streamlit as st

from core.hub.backup_state import backup_of
from core.jobs import launcher
from core.jobs.folder import Job
from core.jobs.status import Status
from studio import words
from studio.session import recall, remember

# A double click on the first button must not land on the second.
PATIENCE_S = 4


def stop_button(job: Job) -> None:
    """A popover with a sentence for each way to stop."""
    label = "Leave the queue" if job.status is Status.QUEUED else "Stop"
    with st.popover(f":red[{label}]", icon=":material/stop_circle:", key="stop"):
        if job.status is Status.STOPPING:
            _second_request(job)
            return
        st.markdown(_promise(job))
        # Looked at again: the page may have been drawn before another tab asked, and a second request kills.
        if st.button(_keeping(job), key="stop:save", width="stretch") and job.status is not Status.STOPPING:
            remember(f"stop asked:{job.id}", time.monotonic())
            launcher.stop(job)
        if len(job.metrics):
            st.caption(_what_goes(job))
            if st.button(":red[Stop and discard]", key="stop:discard", width="stretch") and job.status.live:
                launcher.discard(job)


def _promise(job: Job) -> str:
    if job.status is Status.QUEUED:
        return "It has not begun. You can put it back with Resume."
    if _waits_for_the_hub(job):
        return "The training is done and saved here. It only waits until the Hub has it too."
    if not len(job.metrics):
        return "Nothing has been trained yet, so there is nothing to save."
    return "The step under way is finished and saved first. You can resume it, and chat with it."


def _waits_for_the_hub(job: Job) -> bool:
    backup = backup_of(job)
    return backup is not None and backup.waiting


def _keeping(job: Job) -> str:
    if _waits_for_the_hub(job):
        return "Stop waiting"
    return "Stop and save" if len(job.metrics) else "Stop now"


def _what_goes(job: Job) -> str:
    saved = f"removes its {words.count(len(job.checkpoints), 'checkpoint')}" if job.checkpoints else "saves nothing"
    return f"Or end it at once: that {saved}. Recipe, curve and log stay."


def _second_request(job: Job) -> None:
    waits = _waits_for_the_hub(job)
    st.markdown(
        "It is saved here, and waits until the Hub has it too." if waits else "It is finishing its step, then it saves."
    )
    if time.monotonic() - recall(f"stop asked:{job.id}", 0.0) < PATIENCE_S:
        return
    lost = (
        "what the Hub does not have yet stays here alone" if waits else "the steps since the last checkpoint are lost"
    )
    st.caption(f"Stopped at once, {lost}.")
    if st.button(":red[Stop at once]", key="stop:at once", width="stretch") and job.status is Status.STOPPING:
        launcher.stop(job)
