"""The checkpoints of a run: what each is worth, and what can be done with it."""

import streamlit as st

from core.jobs.checkpoint import Checkpoint
from core.jobs.folder import Job
from studio import words
from studio.backup_words import backup_line
from studio.layout import row, section, split
from studio.markdown import plain
from studio.new_run import continue_from
from studio.resume_button import resume_button
from studio.run_facts import final_word
from studio.run_header import chat_with

A_PAGE = 6


def checkpoint_actions(job: Job) -> None:
    """A card's content, newest first: the final adapter or model, the checkpoints, and those that cannot be used."""
    with split():
        section("Checkpoints")
        st.caption(f"the newest {job.recipe.checkpoints.keep} and the best are kept", width="content")
    backup_line(job)
    checkpoints = job.checkpoints[::-1]
    if job.final:
        _line(job, f"**Final {final_word(job)}**")
    elif not checkpoints:
        st.caption("None has been saved.")
    measured, best = job.metrics.held_out_at, job.best_step
    for checkpoint in _on_this_page(job, checkpoints):
        _line(job, _described(checkpoint, measured.get(checkpoint.step), checkpoint.step == best), checkpoint.step)
    if not job.status.live:
        _broken(job)


def _on_this_page(job: Job, checkpoints: list[Checkpoint]) -> list[Checkpoint]:
    pages = -(-len(checkpoints) // A_PAGE)
    page = st.pagination(pages, key=f"checkpoints:{job.id}") if pages > 1 else 1
    return checkpoints[(page - 1) * A_PAGE : page * A_PAGE]


def _line(job: Job, text: str, step: int | None = None) -> None:
    """One result; without a step, the final one."""
    name = "final" if step is None else str(step)
    with split():
        st.markdown(text, width="content")
        with row(gap="xxsmall", width="content", horizontal_alignment="right"):
            if step is not None:
                resume_button(job, step, key=f"resume:{name}", primary=False)
            if st.button("Chat", key=f"chat:{name}"):
                chat_with(job, step)
            if st.button("Use as start", help="A new run begins with it.", key=f"use:{name}"):
                continue_from(job, step)


def _described(checkpoint: Checkpoint, held_out: float | None, best: bool) -> str:
    """Step 400 · held-out 1.187 · 152 MB, Best"""
    loss = f" · held-out {words.loss(held_out)}" if words.known(held_out) else ""
    mark = " :green-badge[Best]" if best else ""
    return f"**Step {words.whole(checkpoint.step)}**:gray[{loss} · {words.size(checkpoint.size_bytes)}]{mark}"


def _broken(job: Job) -> None:
    """Of a live run a checkpoint may merely be under way."""
    for checkpoint in job.broken_checkpoints:
        st.markdown(f":orange-badge[Broken] :gray[Step {words.whole(checkpoint.step)}: {plain(checkpoint.why)}]")
