"""The top of Train: the run's name and status, what can be done with it, its progress, and how it ended."""

from typing import Any

import streamlit as st

from core.jobs.ending import can_resume, why
from core.jobs.folder import Job
from core.jobs.listing import training_now
from core.jobs.status import Status
from studio.layout import page_header
from studio.markdown import plain, plain_lines
from studio.navigation import go_to, open_run
from studio.progress import progress_bar
from studio.resume_button import resume_button
from studio.run_facts import summary
from studio.session import choose_chat_model
from studio.status_chip import badge
from studio.stop_button import stop_button


def run_header(job: Job) -> None:
    with page_header(plain(job.name), plain(summary(job)), badge(job.status)):
        _actions(job)
    if not job.damage:
        progress_bar(job)
    show_outcome(job)


def show_outcome(job: Job) -> None:
    """The sentence that says how it ended; nothing while it is live."""
    boxes = {Status.FINISHED: (st.success, "check_circle"), Status.STOPPED: (st.info, "stop_circle")}
    box, icon = boxes.get(job.status, (st.warning, "power_off"))
    if job.status is Status.FAILED:
        box, icon = st.error, "error"
    if text := why(job):
        box(plain_lines(text), icon=f":material/{icon}:")


def _actions(job: Job) -> None:
    if job.status.live:
        stop_button(job)
        return
    live = training_now()
    if live and st.button("Show what trains now", type="tertiary", key="show live"):
        open_run(live)
    resumable, has_adapter = can_resume(job), can_chat(job)
    if st.button("New run", icon=":material/add:", type=_kind(not resumable and not has_adapter), key="new run"):
        go_to("model_and_data")
    if has_adapter and st.button(
        "Chat with it", icon=":material/forum:", type=_kind(not resumable), key="chat with it"
    ):
        chat_with(job)
    resume_button(job)


def _kind(first: bool) -> Any:
    """One primary button at most: the first thing one would do."""
    return "primary" if first else "secondary"


def can_chat(job: Job) -> bool:
    """Whether there is anything to talk with: the final adapter or model, or a checkpoint."""
    return not job.damage and (job.final is not None or bool(job.checkpoints))


def chat_with(job: Job, step: int | None = None) -> None:
    """Open Chat with what the run became, a checkpoint, or the newest checkpoint where it has not come to its end."""
    if step is None and not job.final:
        step = job.checkpoints[-1].step
    choose_chat_model(job.id if step is None else f"{job.id}@{step}")
    go_to("chat")
