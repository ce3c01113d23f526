"""A run's name with its status, and a line that says what it is: the head of a card about it."""

import streamlit as st

from core.jobs.folder import Job
from studio.layout import row, section
from studio.markdown import plain
from studio.run_facts import summary
from studio.status_chip import badge


def run_title(job: Job) -> None:
    with st.container(gap=None, width="content"):
        with row(width="content"):
            section(plain(job.name))
            st.markdown(badge(job.status), width="content")
        st.caption(plain(summary(job)))
