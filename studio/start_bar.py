"""The docked bar: the plan in a line, and the button that starts the training or puts it into the queue."""

import streamlit as st

from core.hardware import Machine
from core.jobs import launcher
from core.jobs.listing import training_now
from core.recipe import Recipe
from studio import session, words
from studio.errors_shown import errors_shown
from studio.layout import row, split
from studio.markdown import plain
from studio.navigation import go_to
from studio.plan_panel import Outlook, fit_badge


def start_bar(recipe: Recipe, look: Outlook, machine: Machine) -> None:
    busy = training_now()
    with st.bottom, st.container(border=True):
        with split():
            st.markdown(_line(recipe, look, machine), width="content")
            with row(width="content", horizontal_alignment="right"):
                if busy:
                    st.caption(f"{plain(busy.name)} is training", width="content")
                label, icon = ("Add to queue", "playlist_add") if busy else ("Start training", "play_arrow")
                start = st.button(label, icon=f":material/{icon}:", type="primary", key="start")
        if start:
            with errors_shown():
                _start(recipe)


def _start(recipe: Recipe) -> None:
    """The same recipe twice is one run: a double click, or a second tab, opens the one that is under way."""
    job = launcher.start(recipe)
    session.select_job(job.id)
    go_to("train")


def _line(recipe: Recipe, look: Outlook, machine: Machine) -> str:
    plan = look.plan
    steps = f"{look.about}**{plan.steps:,}** steps" if plan.steps else "steps not counted yet"
    parts = [fit_badge(recipe, machine), steps]
    if plan.tokens:
        parts.append(f"**{words.parameters(plan.tokens)}** tokens")
    if plan.trainable:
        parts.append(f"**{words.parameters(plan.trainable)}** trainable")
    return " :gray[|] ".join([*parts, f"**{words.size(plan.disk_bytes)}** disk"])
