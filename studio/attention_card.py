"""One run that needs a person: what happened in a sentence, and the way to it."""

import streamlit as st

from core.jobs.ending import why
from core.jobs.folder import Job
from studio.layout import row, split
from studio.local_time import when
from studio.markdown import plain
from studio.navigation import open_run
from studio.resume_button import resume_button
from studio.run_facts import needs_attention
from studio.session import recall, remember
from studio.status_chip import badge


def attention_card(jobs: list[Job]) -> None:
    """The newest run that did not end well, unless it was dismissed or a later one ended well."""
    ended = next((job for job in jobs if not job.damage and not job.status.live), None)
    if ended is None or not needs_attention(ended) or recall("dismissed") == ended.id:
        return
    with st.container(border=True), split():
        with st.container(gap=None, width="stretch"):
            first, _, rest = why(ended).partition(". ")
            st.markdown(f"{badge(ended.status)} **{plain(ended.name)}** · {plain(first.rstrip('.'))}.")
            st.caption(plain(rest) or f"Started {when(ended.created)}.")
        with row(width="content", horizontal_alignment="right"):
            if st.button("Dismiss", type="tertiary", key="dismiss"):
                remember("dismissed", ended.id)
                st.rerun()
            if st.button("Open the run", icon=":material/arrow_forward:", icon_position="right", key="attend"):
                open_run(ended)
            resume_button(ended, key="attend:resume")
