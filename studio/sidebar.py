"""The foot of the sidebar: the run that trains, and the machine, on every page."""

import time

import streamlit as st

from core import home
from core.hardware import machine
from core.jobs import queue
from core.jobs.folder import Job
from core.jobs.listing import training_now
from studio import words
from studio.errors_shown import errors_shown
from studio.hub_account import account_known
from studio.markdown import plain
from studio.navigation import open_run
from studio.progress import brief, percent_done, share_done
from studio.session import recall, remember, theme_changed

LIVE_EVERY_S, IDLE_EVERY_S = 2, 4
# The page list is only drawn with the whole page, so its percentage may be this old.
WHOLE_PAGE_EVERY_S = 10


def sidebar() -> None:
    live = training_now()
    remember("sidebar", (live.id if live else None, _percent(live), time.monotonic()))

    @st.fragment(run_every=LIVE_EVERY_S if live else IDLE_EVERY_S, key="sidebar")
    def foot() -> None:
        with errors_shown():
            _foot()

    with st.sidebar:
        st.space("xsmall")
        foot()


def _percent(job: Job | None) -> int:
    return percent_done(job) if job else 0


def _foot() -> None:
    live = training_now()
    if theme_changed() or _whole_page_is_old(live):
        st.rerun()
    if live:
        with st.container(border=True, gap="xxsmall"):
            if st.button(
                f"**{plain(live.name)}**", icon=":material/progress_activity:", type="tertiary", key="live run"
            ):
                open_run(live)
            st.progress(share_done(live))
            st.caption(brief(live))
            if waiting := queue.waiting():
                st.caption(f"{words.count(len(waiting), 'job')} waiting")
    reading = machine(home.home())
    st.caption(f":material/memory: {plain(reading.device_name)} · {words.size(reading.memory_free_bytes)} free")
    if found := account_known():
        st.caption(f":material/cloud_done: Hub · {plain(found.name)}")


def _whole_page_is_old(live: Job | None) -> bool:
    """A run began or ended since the page was drawn, or its percentage there is behind."""
    job_id, percent, drawn = recall("sidebar")
    if job_id != (live.id if live else None):
        return True
    return percent != _percent(live) and time.monotonic() - drawn > WHOLE_PAGE_EVERY_S
