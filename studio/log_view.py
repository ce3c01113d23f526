"""What the worker printed: the end of it, the lines that hold a word, and all of it as a file."""

from collections import deque
from pathlib import Path

import streamlit as st

from core.jobs.folder import Job
from studio import words
from studio.layout import split

MOST_LINES = 500


def log_view(job: Job) -> None:
    """Closed at first; what is closed is not read."""
    box = st.expander("Log", icon=":material/terminal:", key=f"log:{job.id}", on_change="rerun")
    if box.open:
        with box:
            _log(job)


def _log(job: Job) -> None:
    if not job.log_tail(1):
        st.caption("The worker has printed nothing.")
        return
    with split():
        asked = _search(job)
        _download(job)
    if asked:
        lines, count = lines_with(asked, job.files.log)
        newest = f"; the newest {MOST_LINES} are shown" if count > MOST_LINES else ""
        st.caption(f"{words.count(count, 'line')} found{newest}.")
    else:
        lines = job.log_tail().splitlines()
    if lines:
        st.code("\n".join(lines), language=None, height=280)


def lines_with(asked: str, log: Path) -> tuple[list[str], int]:
    """The newest lines that hold a text, in whichever case, and how many there are; a progress bar's are lines too."""
    found: deque[str] = deque(maxlen=MOST_LINES)
    count = 0
    with log.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if asked.lower() in line.lower():
                found.append(line.rstrip("\n"))
                count += 1
    return list(found), count


def _search(job: Job) -> str:
    asked = st.text_input(
        "Search the log",
        placeholder="Search the log",
        icon=":material/search:",
        width=280,
        label_visibility="collapsed",
        key=f"log:search:{job.id}",
    )
    return (asked or "").strip()


def _download(job: Job) -> None:
    st.download_button(
        "Download",
        data=job.files.log.read_bytes,
        file_name=f"{job.id}.log.txt",
        mime="text/plain",
        icon=":material/download:",
        on_click="ignore",
        key=f"log:download:{job.id}",
    )
