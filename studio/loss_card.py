"""The loss card: the curve, how much of it is shown, and a switch that holds it still while the run goes on."""

from typing import Any

import streamlit as st

from core.jobs.folder import Job
from studio import charts
from studio.layout import row, section, split
from studio.loss_chart import curve_of, finding, loss_figure
from studio.session import recall, remember

RANGES: dict[str, int | None] = {"All": None, "Last 200": 200, "Last 50": 50}


def loss_card(job: Job, height: int = 322) -> None:
    with st.container(border=True):
        with split():
            section("Loss")
            follow, logarithmic, last = _controls(job)
        if not len(job.metrics):
            st.caption(_nothing_yet(job))
            return
        curve = curve_of(job, last, _held_at(job, follow))
        figure = loss_figure(curve, height, logarithmic)
        # New data replaces the plot, and a zoom with it; so zooming waits until the curve stands still.
        figure["layout"]["dragmode"] = False if follow else "zoom"
        charts.show(figure, alt=finding(curve), key="loss")
        if what := job.recipe.objective.loss:
            st.caption(what)


def _controls(job: Job) -> tuple[bool, bool, int | None]:
    with row(width="content", horizontal_alignment="right"):
        live = job.status.live
        follow = live and st.toggle("Live", value=True, key="loss:live", help="Off holds the curve still, for zooming.")
        with st.popover("Display", type="tertiary"):
            logarithmic = st.checkbox("Logarithmic scale", key="loss:log")
        options: Any = list(RANGES)
        shown = st.segmented_control(
            "Range", options, default="All", required=True, key="loss:range", label_visibility="collapsed"
        )
    return follow, logarithmic, RANGES[shown or "All"]


def _held_at(job: Job, follow: bool) -> int | None:
    """How many reports are shown: all while following, those of the moment of the pause otherwise."""
    key = f"held:{job.id}"
    if follow or not job.status.live:
        remember(key, None)
        return None
    if recall(key) is None:
        remember(key, len(job.metrics))
    return recall(key)


def _nothing_yet(job: Job) -> str:
    return "The curve begins with the first step." if job.status.live else "This run ended before its first step."
