"""The table of all runs with its filters: redraws itself while something trains."""

import streamlit as st

from core.jobs.status import Status
from studio import words
from studio.errors_shown import errors_shown
from studio.job_table import run_table, take_choice
from studio.run_filters import BEST, filters
from studio.run_row import RunRow, all_rows

EVERY_S = 4
ROWS = 25


def caption(runs: list[RunRow]) -> str:
    """8 runs · 1 training · 1 waiting · 2 can be resumed"""
    at_work = sum(run.status.at_work for run in runs)
    waiting = sum(run.status is Status.QUEUED for run in runs)
    resumable = sum(run.can_resume for run in runs)
    parts = [
        words.count(len(runs), "run"),
        f"{at_work} training" if at_work else "",
        f"{waiting} waiting" if waiting else "",
        f"{resumable} can be resumed" if resumable else "",
    ]
    return " · ".join(part for part in parts if part)


def run_chooser(runs: list[RunRow]) -> None:
    """The table, from which runs are chosen; the page is drawn anew when the choice changes."""
    # The page has just looked at all runs; later looks are this part's own.
    just_read = iter([runs])

    @st.fragment(run_every=EVERY_S if any(run.status.live for run in runs) else None, key="runs")
    def part() -> None:
        if take_choice():
            st.rerun()
        with errors_shown():
            _table(next(just_read, None) or all_rows())

    part()


def _table(runs: list[RunRow]) -> None:
    asked = filters(runs)
    found = asked.applied(runs)
    if not found:
        st.caption("No run matches. Clear the search and the filters to see all.")
        return
    place, pages = st.container(), -(-len(found) // ROWS)
    # Other filters begin with their first page.
    page = st.pagination(pages, key=f"runs:page:{asked}") if pages > 1 else 1
    with place:
        run_table(found[(page - 1) * ROWS : page * ROWS])
        if asked.order == BEST and len({run.objective for run in found if run.objective}) > 1:
            st.caption("A loss compares only among runs that learn by the same objective, so those stand together.")
