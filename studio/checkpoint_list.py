"""The checkpoints of a run that can be used, the best one marked."""

import streamlit as st

from core.jobs.folder import Job
from studio import words
from studio.layout import kv, section, split
from studio.lora_form import cadence


def checkpoint_list(job: Job) -> None:
    """A card's content: newest first, with sizes."""
    with split():
        section("Checkpoints")
        st.caption(f"the newest {job.recipe.checkpoints.keep} and the best are kept", width="content")
    checkpoints = job.checkpoints[::-1]
    best = job.best_step
    for checkpoint in checkpoints[:6]:
        mark = ":green-badge[Best] " if checkpoint.step == best else ""
        kv(f"Step {words.whole(checkpoint.step)}", mark + words.size(checkpoint.size_bytes))
    if len(checkpoints) > 6:
        st.caption(f"and {len(checkpoints) - 6} older")
    if not checkpoints:
        st.caption(f"One is saved {cadence(job.recipe)}." if job.status.live else "None was saved.")
