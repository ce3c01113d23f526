"""The list of what happened in a run, newest first."""

from typing import Any

import streamlit as st

from core.jobs.folder import Job
from studio.event_words import lines_of, markdown_of
from studio.layout import section, split
from studio.local_time import clock


def event_list(job: Job) -> None:
    with split():
        section("Events")
        options: Any = ["All", "Checkpoints", "Warnings"]
        kind = st.pills("Kind", options, default="All", required=True, key="events:kind", label_visibility="collapsed")
    lines = lines_of(job.events, None if kind == "All" else kind)
    if not lines:
        st.caption("Nothing of this kind has happened.")
        return
    # One column: separate ones would get equal widths.
    rows = {"Event": [markdown_of(line, clock(line.time, seconds=True)) for line in lines]}
    st.table(rows, border="horizontal", hide_index=True, hide_header=True, alt="Events, newest first")
