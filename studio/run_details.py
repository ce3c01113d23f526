"""Everything about one run, under the table of runs."""

from collections.abc import Iterable
from typing import Any

import streamlit as st

from core.jobs.ending import can_resume
from core.jobs.folder import Job
from core.jobs.listing import known_job
from core.recipe import Recipe
from core.recipe_yaml import to_yaml
from core.training.methods import METHODS
from core.training.start import parent_of
from studio import words
from studio.about_form import about_button, about_text
from studio.checkpoint_actions import checkpoint_actions
from studio.delete_button import delete_button
from studio.evaluation_card import evaluation_card
from studio.event_list import event_list
from studio.export_card import export_card
from studio.layout import kv, row, section, split
from studio.live_part import live_part
from studio.log_view import log_view
from studio.loss_card import loss_card
from studio.markdown import plain
from studio.mini_charts import mini_charts
from studio.navigation import open_run
from studio.new_run import continue_from, new_run_from
from studio.resume_button import resume_button
from studio.run_facts import data_names, method, model_name
from studio.run_header import can_chat, chat_with, show_outcome
from studio.run_title import run_title
from studio.session import select_job

CONTINUE_HELP = "A new run that begins where this one ended, for more epochs or other data."


def run_details(job: Job, known_tags: Iterable[str]) -> None:
    """`known_tags` are those that other runs have: they are offered when this one is tagged."""
    with split():
        with st.container(gap="xsmall", width="content"):
            run_title(job)
            _parent(job)
        _actions(job, known_tags)
    about_text(job)
    show_outcome(job)
    if not job.damage:
        _charts(job)
        evaluation_card(job)
        export_card(job)
        _what_happened(job)
        _resolved(job)
    log_view(job)


def recipe_facts(recipe: Recipe) -> None:
    """The settings that are asked about most."""
    training = recipe.training
    kv("Model", plain(model_name(recipe)))
    kv("Data", plain(data_names(recipe)))
    kv(
        "Method",
        method(recipe) if METHODS[recipe.lora.method].whole else f"{method(recipe)}, alpha {recipe.lora.alpha}",
    )
    if recipe.objective.pairs:
        kv("Beta", f"{training.beta:g}")
    kv("Learning rate", f"{words.rate(training.learning_rate)}, {training.schedule}")
    kv("Batch", f"{training.batch} × {training.accumulation}")


def _parent(job: Job) -> None:
    """The run, or the folder, whose adapter this one began with."""
    start = None if job.damage else job.recipe.model.start_from
    if not start:
        return
    parent = known_job(parent_of(job.recipe))
    if parent is None:
        st.caption(f"Goes on from {plain(start)}")
    elif st.button(f"Goes on from {plain(parent.name)}{_at_step(start)}", type="tertiary", key="parent"):
        select_job(parent.id)
        st.rerun()


def _at_step(start: str) -> str:
    step = start.rpartition("@")[2]
    return f", step {words.whole(int(step))}" if "@" in start and step.isdecimal() else ""


def _actions(job: Job, known_tags: Iterable[str]) -> None:
    with row(width="content", horizontal_alignment="right"):
        delete_button(job)
        about_button(job, known_tags)
        if job.damage:
            return
        if st.button("New run from this one", icon=":material/content_copy:", key="again"):
            new_run_from(job)
        if job.status.live and st.button("Open in Train", icon=":material/monitoring:", type="primary", key="open"):
            open_run(job)
        if job.final and st.button("Continue", icon=":material/start:", help=CONTINUE_HELP, key="continue"):
            continue_from(job)
        _chat_or_resume(job)


def _chat_or_resume(job: Job) -> None:
    """What is left to do comes first: the rest of the training, else talking with what it became."""
    unfinished = job.status.live or can_resume(job)
    chat: Any = "secondary" if unfinished else "primary"
    if can_chat(job) and st.button("Chat with it", icon=":material/forum:", type=chat, key="chat with it"):
        chat_with(job)
    resume_button(job)


def _charts(job: Job) -> None:
    grid = st.grid(2, min_column_width=400)
    with grid.cell():
        live_part("details:loss", lambda job: loss_card(job, 300), job)
    with grid.cell(), st.container(border=True):
        _recipe_card(job)
    if len(job.metrics):
        live_part("details:minis", mini_charts, job)


def _what_happened(job: Job) -> None:
    grid = st.grid(2, min_column_width=400, border=True)
    with grid.cell():
        live_part("details:checkpoints", checkpoint_actions, job)
    with grid.cell():
        live_part("details:events", event_list, job)


def _recipe_card(job: Job) -> None:
    text = to_yaml(job.recipe)
    with split():
        section("Recipe")
        st.download_button(
            "Download",
            data=text,
            file_name=f"{job.recipe.name}.yaml",
            mime="application/yaml",
            icon=":material/download:",
            on_click="ignore",
            key="recipe:download",
        )
    st.code(text, language="yaml", height=300)


def _resolved(job: Job) -> None:
    """What the recipe became on this machine, once the worker knew."""
    title = "What it became :gray[:small[revisions, device, precision, versions]]"
    box = st.expander(title, icon=":material/fact_check:", key=f"resolved:{job.id}", on_change="rerun")
    if box.open:
        with box:
            text = (
                job.files.resolved.read_text(encoding="utf-8", errors="replace") if job.files.resolved.exists() else ""
            )
            st.code(text or "The worker has not come that far.", language="yaml")
