"""The jobs that wait for their turn: their order can be changed, and each can be taken out."""

import streamlit as st

from core.jobs import launcher, queue
from core.jobs.errand import run_about
from core.jobs.folder import Job
from core.jobs.status import Status
from studio.layout import row, section, split
from studio.markdown import plain
from studio.run_facts import method, model_name


def queue_card(waiting: list[Job]) -> None:
    """A card's content, the next one first."""
    with split():
        section("Queue")
        st.caption("one training at a time", width="content")
    for place, job in enumerate(waiting, 1):
        with split():
            with st.container(gap=None, width="content"):
                st.markdown(f"{place}. **{plain(called(job))}**", width="content")
                st.caption(plain(f"{model_name(job.recipe)} · {method(job.recipe)}"))
            with row(width="content", horizontal_alignment="right"):
                _move(job, place - 1, "arrow_upward", "Earlier", disabled=place == 1)
                _move(job, place + 1, "arrow_downward", "Later", disabled=place == len(waiting))
                st.button(
                    "Remove",
                    icon=":material/close:",
                    type="tertiary",
                    key=f"queue:{job.id}:out",
                    on_click=_take_out,
                    args=(job,),
                )


def place_of(job: Job) -> int | None:
    """Its place in the queue, from 1; None if it does not wait."""
    ids = [other.id for other in queue.waiting()]
    return ids.index(job.id) + 1 if job.id in ids else None


def called(job: Job) -> str:
    """A training by its name; what else waits for the device by what it is, too."""
    if job.kind == "evaluate":
        return f"Evaluation of {(run_about(job) or job).name}"
    return f"Measuring {job.name}" if job.kind == "probe" else job.name


def _move(job: Job, place: int, icon: str, label: str, disabled: bool) -> None:
    st.button(
        f":material/{icon}:",
        help=label,
        type="tertiary",
        disabled=disabled,
        key=f"queue:{job.id}:{label}",
        on_click=_to,
        args=(job, place),
    )


def _to(job: Job, place: int) -> None:
    """It may have begun since the page was drawn; then there is nothing to move."""
    if job.status is Status.QUEUED:
        queue.move(job, place)


def _take_out(job: Job) -> None:
    if job.status is Status.QUEUED:
        launcher.stop(job)
