"""A part of a page that redraws itself while a job is live, and the whole page once it ends."""

from collections.abc import Callable

import streamlit as st

from core.jobs.folder import Job
from studio.errors_shown import errors_shown

EVERY_S = 2


def live_part(name: str, draw: Callable[[Job], None], job: Job) -> None:
    """Draw now, and every two seconds while the job is live; the job reads its files for itself."""
    live = job.status.live

    @st.fragment(run_every=EVERY_S if live else None, key=name)
    def part() -> None:
        with errors_shown():
            draw(job)
        if live and not job.status.live:
            st.rerun()

    part()
