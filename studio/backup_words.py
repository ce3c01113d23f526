"""How the backup of a run stands, in a line: which step is safe on the Hub, or what keeps it from being so."""

import streamlit as st

from core.hub.backup_state import BackupState, backup_of
from core.jobs.folder import Job
from studio import words
from studio.markdown import plain


def backup_line(job: Job) -> None:
    """Nothing where the run has no backup."""
    state = backup_of(job)
    if state is None:
        return
    if state.trouble and job.status.live:
        st.markdown(f":orange[:material/cloud_off:] {plain(state.trouble)} {_safe(state)}")
    else:
        icon, colour = ("cloud_done", "green") if state.safe_step or state.has_result else ("cloud_upload", "gray")
        st.markdown(f":{colour}[:material/{icon}:] {_safe(state)} :gray[{plain(state.repository)}]")


def waiting_text(job: Job, state: BackupState) -> str:
    """The line above the bar while a run waits for its last upload."""
    share = f" · {words.percent(state.share)}" if state.share else ""
    cut = "Stop once more to end at once" if job.stop_asked else "Stop ends the waiting"
    safe = _safe(state).removesuffix(".")
    return f"**Backing up to the Hub**{share} · {safe[0].lower()}{safe[1:]} · {cut}"


def _safe(state: BackupState) -> str:
    if state.safe_step:
        result = " and the result are" if state.has_result else " is"
        return f"Step {words.whole(state.safe_step)}{result} safe on the Hub."
    return "The result is safe on the Hub." if state.has_result else "Nothing is on the Hub yet."
