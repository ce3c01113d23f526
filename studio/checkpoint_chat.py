"""The checkpoints of a run with what each is worth, and a way to talk with it."""

import streamlit as st

from core.jobs.folder import Checkpoint, Job
from studio import words
from studio.layout import section, split
from studio.run_facts import best_step
from studio.run_header import chat_with

SHOWN = 8


def checkpoint_chat(job: Job) -> None:
    with split():
        section("Checkpoints")
        st.caption(f"the newest {job.recipe.checkpoints.keep} are kept", width="content")
    checkpoints = job.checkpoints[::-1]
    best = best_step(job)
    measured = dict(zip(job.metrics.held_out_step, job.metrics.held_out_loss, strict=False))
    for checkpoint in checkpoints[:SHOWN]:
        with split():
            st.markdown(_described(checkpoint, measured.get(checkpoint.step), best), width="content")
            if st.button("Chat", icon=":material/forum:", key=f"chat:{checkpoint.step}"):
                chat_with(job, checkpoint.step)
    if len(checkpoints) > SHOWN:
        st.caption(f"and {len(checkpoints) - SHOWN} older")
    if job.files.adapter.is_dir():
        with split():
            st.markdown("**Final adapter**", width="content")
            if st.button("Chat", icon=":material/forum:", key="chat:final"):
                chat_with(job)
    elif not checkpoints:
        st.caption("None has been saved.")


def _described(checkpoint: Checkpoint, held_out: float | None, best: int | None) -> str:
    """Step 400 · held-out 1.187 · 152 MB, Best"""
    loss = f" · held-out {words.loss(held_out)}" if words.known(held_out) else ""
    mark = " :green-badge[Best]" if checkpoint.step == best else ""
    return f"**Step {words.whole(checkpoint.step)}**:gray[{loss} · {words.size(checkpoint.size_bytes)}]{mark}"
