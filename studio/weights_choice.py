"""Which weights of a run, as an adapter or merged, in which precision: the same for an export and a publication."""

from typing import Any

import streamlit as st

from core.export.asked import Export
from core.jobs.folder import Job
from core.training.methods import METHODS
from studio import words

RESULT = "result"
NAMES = {"adapter": "Adapter", "merged": "Merged", "both": "Both"}
PRECISIONS = {"auto": "As its base", "bf16": "bf16", "fp16": "fp16", "fp32": "fp32"}


def step_choice(run: Job, key: str) -> int | None:
    """The result where there is one, else the checkpoints, newest first; None is the result."""
    steps = [checkpoint.step for checkpoint in reversed(run.checkpoints)]
    measured, best = run.metrics.held_out_at, run.best_step

    def named(option: int | str) -> str:
        if option == RESULT:
            return "The result"
        loss = f" · held-out {words.loss(measured[option])}" if option in measured else ""
        return f"Step {words.whole(option)}{loss}{' · best' if option == best else ''}"

    options = [*([RESULT] if run.final else []), *steps]
    chosen = st.selectbox("Checkpoint", options, format_func=named, key=f"{key}:step:{run.id}")
    return None if chosen == RESULT else chosen


def what_choice(run: Job, key: str, first: str | None = None) -> tuple[str | None, str]:
    """What of it, and in which precision where a whole model is written."""
    fields = Export.model_fields
    whole = METHODS[run.recipe.lora.method].whole
    what: Any = None
    if not whole:
        what = st.segmented_control(
            fields["what"].title,
            list(NAMES),
            default=first or "adapter",
            required=True,
            format_func=NAMES.__getitem__,
            width="stretch",
            help=fields["what"].description,
            key=f"{key}:what:{run.id}",
        )
    if not whole and what == "adapter":
        return what, "auto"
    precision = st.segmented_control(
        fields["precision"].title,
        list(PRECISIONS),
        default="auto",
        required=True,
        format_func=PRECISIONS.__getitem__,
        width="stretch",
        help=fields["precision"].description,
        key=f"{key}:precision:{run.id}",
    )
    return what, precision
