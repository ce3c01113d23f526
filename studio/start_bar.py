"""The docked bar: the plan in a line and the button that starts the training, or why it cannot be pressed."""

import streamlit as st

from core.hardware import Machine
from core.jobs import launcher
from core.jobs.folder import live_jobs
from core.recipe import Recipe
from studio import session, words
from studio.errors_shown import errors_shown
from studio.layout import row, split
from studio.markdown import plain
from studio.navigation import go_to
from studio.plan_panel import Outlook, fit_badge


def start_bar(recipe: Recipe, look: Outlook, machine: Machine) -> None:
    busy = next(live_jobs("train"), None)
    with st.bottom, st.container(border=True):
        with split():
            st.markdown(_line(recipe, look, machine), width="content")
            with row(width="content", horizontal_alignment="right"):
                if busy:
                    st.caption(f"{plain(busy.name)} is training. Wait, or stop it first.", width="content")
                start = st.button(
                    "Start training",
                    icon=":material/play_arrow:",
                    type="primary",
                    disabled=busy is not None,
                    key="start",
                )
        if start:
            with errors_shown():
                _start(recipe)


def _start(recipe: Recipe) -> None:
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
