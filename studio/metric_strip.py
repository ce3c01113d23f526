"""The five numbers above the curves: loss, held-out loss, perplexity or what is preferred, speed, memory."""

from statistics import fmean

import streamlit as st

from core.hardware import Machine
from core.jobs.folder import Job
from core.training.held_out_events import newest_measured
from studio import words

LOOK_BACK = 50
NOTE_WIDTH = 168  # pixels of a card that holds "-0.230 best so far"


def metric_strip(job: Job, machine: Machine) -> None:
    """Equal heights, five in a row where that leaves each the room for its note."""
    strip = st.grid(5, min_column_width=NOTE_WIDTH, gap="xsmall")
    with strip.cell():
        train_loss(job)
    with strip.cell():
        held_out_loss(job)
    with strip.cell():
        (_preferred if job.recipe.objective.pairs else _perplexity)(job)
    with strip.cell():
        _neutral("Tokens / s", words.whole(job.metrics.last("tokens_per_s")), "supervised")
    with strip.cell():
        _memory(job, machine)


def train_loss(job: Job, border: bool = True) -> None:
    """The newest, and how it changed over the last 50 reports, or as many as there are."""
    losses = job.metrics["loss"]
    if not words.known(losses[-1]):
        _neutral("Train loss", "not a number", "lower the rate", border)
        return
    back = min(LOOK_BACK, len(losses) - 1)
    change = losses[-1] - losses[-1 - back] if back and words.known(losses[-1 - back]) else None
    steps = int(job.metrics["step"][-1] - job.metrics["step"][-1 - back])
    _falling("Train loss", losses[-1], change, f"in {words.count(steps, 'step')}" if back else "first step", border)


def held_out_loss(job: Job, border: bool = True) -> None:
    losses = [loss for loss in job.metrics.held_out_loss[-LOOK_BACK:] if words.known(loss)]
    if not losses:
        _neutral("Held-out loss", words.MISSING, _why_none(job), border)
        return
    fact = (
        "best so far"
        if losses[-1] == job.metrics.best_held_out_loss
        else f"best {words.loss(job.metrics.best_held_out_loss)}"
    )
    _falling("Held-out loss", losses[-1], losses[-1] - losses[-2] if len(losses) > 1 else None, fact, border)


def _why_none(job: Job) -> str:
    """The recipe may ask for held-out rows and its data have none to spare: the preparation knows."""
    prepared, asked = job.newest_event("prepared") or {}, job.recipe.data.eval_fraction
    if not prepared.get("held_out_rows", asked):
        return "nothing held out"
    return "not measured yet" if job.status.live else "not measured"


def _falling(label: str, number: float, change: float | None, fact: str, border: bool) -> None:
    """A number that is better when it falls, with its change."""
    if change is None:
        _neutral(label, words.loss(number), fact, border)
        return
    st.metric(
        label,
        words.loss(number),
        delta=f"{change:+.3f}",
        delta_color="inverse",
        delta_description=fact,
        border=border,
        height="stretch" if border else "content",
    )


def _neutral(label: str, value: str, fact: str, border: bool = True) -> None:
    height = "stretch" if border else "content"
    st.metric(label, value, delta=fact, delta_color="off", delta_arrow="off", border=border, height=height)


def _perplexity(job: Job) -> None:
    _neutral("Perplexity", words.perplexity(job.metrics.last_held_out_loss), "held-out rows")


def _preferred(job: Job) -> None:
    """Of the held-out pairs where they were measured, else of the last that were trained on."""
    held_out = newest_measured(job).get("preferred")
    seen = [share for share in job.metrics["preferred"][-LOOK_BACK:] if words.known(share)]
    if words.known(held_out):
        share, whose = held_out, "of held-out pairs"
    else:
        share, whose = (fmean(seen), "of the newest pairs") if seen else (None, "of pairs")
    _neutral("Chosen preferred", words.percent(share), f"{whose}, chance is 50%")


def _memory(job: Job, machine: Machine) -> None:
    title = "GPU memory" if machine.device == "cuda" else "Memory"
    _neutral(title, words.size(job.metrics.last("memory_bytes")), f"of {words.size(machine.memory_bytes)}")
