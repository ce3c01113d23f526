"""All runs: search and narrow the table, choose one to see everything about it."""

from typing import Any

import streamlit as st

from core.jobs.folder import Job, Status, all_jobs
from studio import words
from studio.errors_shown import errors_shown
from studio.job_table import job_choice_table
from studio.layout import row
from studio.run_facts import model_name, needs_attention
from studio.session import select_job, selected_job

EVERY_S = 4
ROWS = 25
KINDS = {
    "Active": lambda job: job.status.live,
    "Finished": lambda job: job.status in (Status.FINISHED, Status.STOPPED),
    "Needs attention": needs_attention,
}


def caption(jobs: list[Job]) -> str:
    """8 runs · 1 training · 2 did not end well"""
    statuses = [job.status for job in jobs]
    live = sum(status.live for status in statuses)
    bad = sum(status in (Status.FAILED, Status.INTERRUPTED, Status.DAMAGED) for status in statuses)
    parts = [
        words.count(len(jobs), "run"),
        f"{live} training" if live else "",
        f"{bad} did not end well" if bad else "",
    ]
    return " · ".join(part for part in parts if part)


def run_chooser(live: bool) -> None:
    """The table with its filters; it redraws itself while something trains, the page only when the choice changes."""

    @st.fragment(run_every=EVERY_S if live else None, key="runs")
    def part() -> None:
        with errors_shown():
            _choose(_narrowed(all_jobs("train")))

    part()


def _narrowed(jobs: list[Job]) -> list[Job]:
    with row(gap="small"):
        asked = st.text_input(
            "Search runs",
            placeholder="Search runs",
            icon=":material/search:",
            width=190,
            label_visibility="collapsed",
            key="runs:search",
        )
        options: Any = list(KINDS)
        kinds = st.pills(
            "Status", options, selection_mode="multi", label_visibility="collapsed", key="runs:kinds", width="content"
        )
    found = [job for job in jobs if _matches(job, (asked or "").lower())]
    return [job for job in found if any(KINDS[kind](job) for kind in kinds)] if kinds else found


def _matches(job: Job, asked: str) -> bool:
    known = [job.id, job.name, "" if job.damage else model_name(job.recipe)]
    return not asked or any(asked in text.lower() for text in known)


def _choose(jobs: list[Job]) -> None:
    if not jobs:
        st.caption("No run matches. Clear the search to see all.")
        return
    pages = -(-len(jobs) // ROWS)
    page = _page(pages)
    before = selected_job()
    shown = jobs[(page - 1) * ROWS : page * ROWS]
    chosen = job_choice_table(shown, before)
    if chosen != before and (chosen or before in shown):
        select_job(chosen.id if chosen else None)
        st.rerun()


def _page(pages: int) -> int:
    return st.pagination(pages, key="runs:page") if pages > 1 else 1
