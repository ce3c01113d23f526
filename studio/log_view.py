"""What the worker printed: the end of it, and all of it as a file."""

import streamlit as st

from core.jobs.folder import Job


def log_view(job: Job) -> None:
    """Closed at first; what is closed is not read."""
    log = st.expander("Log", icon=":material/terminal:", key=f"log:{job.id}", on_change="rerun")
    if not log.open:
        return
    with log:
        text = job.log_tail()
        st.code(text or "The worker has printed nothing.", language=None, height=280)
        if text:
            st.download_button(
                "Download the log",
                data=job.files.log.read_bytes,
                file_name=f"{job.id}.log.txt",
                mime="text/plain",
                icon=":material/download:",
                on_click="ignore",
                key=f"log:download:{job.id}",
            )
