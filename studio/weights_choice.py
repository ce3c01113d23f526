"""Which weights of a run, as an adapter, merged or as GGUF, in which precision: the same for an export and a publication."""

import streamlit as st

from core.export.asked import Export, only_merged
from core.jobs.folder import Job
from studio import words

RESULT = "result"
NAMES = {"adapter": "Adapter", "merged": "Merged", "both": "Both", "gguf": "GGUF"}
NAMES_OF_WHOLE = {"merged": "Model", "gguf": "GGUF"}
PRECISIONS = {"auto": "As its base", "bf16": "bf16", "fp16": "fp16", "fp32": "fp32"}
PRECISIONS_OF_GGUF = {"auto": "8 bits", "q4_1": "4 bits", "bf16": "bf16", "fp16": "fp16", "fp32": "fp32"}


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


def what_choice(run: Job, key: str, first: str | None = None) -> tuple[str, str]:
    """What of it, and in which precision where a whole model is written."""
    names = NAMES_OF_WHOLE if only_merged(run.recipe) else NAMES
    what = _choice("what", names, first or next(iter(names)), f"{key}:what:{run.id}")
    if what == "adapter":
        return what, "auto"
    if what == "gguf":
        return what, _choice("precision", PRECISIONS_OF_GGUF, "auto", f"{key}:gguf:{run.id}")
    return what, _choice("precision", PRECISIONS, "auto", f"{key}:precision:{run.id}")


def _choice(field: str, names: dict[str, str], first: str, key: str) -> str:
    """One of some values of a field, by the names that people know."""
    described = Export.model_fields[field]
    return st.segmented_control(
        described.title,
        list(names),
        default=first,
        required=True,
        format_func=names.__getitem__,
        width="stretch",
        help=described.description,
        key=key,
    )
