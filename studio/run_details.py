"""Everything about one run, under the table of runs."""

import streamlit as st

from core.jobs.folder import Job
from core.recipe import Recipe
from core.recipe_yaml import to_yaml
from studio import words
from studio.checkpoint_chat import checkpoint_chat
from studio.delete_button import delete_button
from studio.event_list import event_list
from studio.layout import kv, row, section, split
from studio.live_part import live_part
from studio.log_view import log_view
from studio.loss_card import loss_card
from studio.markdown import plain
from studio.navigation import go_to
from studio.run_facts import data_names, method, model_name
from studio.run_header import can_chat, chat_with, show_outcome
from studio.run_title import run_title
from studio.session import save_draft


def run_details(job: Job) -> None:
    with split():
        run_title(job)
        _actions(job)
    show_outcome(job)
    if job.damage:
        log_view(job)
        return
    grid = st.grid(2, min_column_width=400)
    with grid.cell():
        live_part("details:loss", lambda job: loss_card(job, 300), job)
    with grid.cell(), st.container(border=True):
        _recipe_card(job)
    grid = st.grid(2, min_column_width=400, border=True)
    with grid.cell():
        live_part("details:checkpoints", checkpoint_chat, job)
    with grid.cell():
        live_part("details:events", event_list, job)
    _resolved(job)
    log_view(job)


def _actions(job: Job) -> None:
    with row(width="content", horizontal_alignment="right"):
        delete_button(job)
        if not job.damage and st.button("New run from this one", icon=":material/content_copy:", key="again"):
            save_draft(job.recipe)
            go_to("lora")
        if not job.damage and st.button("Open in Train", icon=":material/monitoring:", key="open in train"):
            go_to("train")
        if can_chat(job) and st.button("Chat with it", icon=":material/forum:", type="primary", key="chat with it"):
            chat_with(job)


def recipe_facts(recipe: Recipe) -> None:
    """The settings that are asked about most."""
    training = recipe.training
    kv("Model", plain(model_name(recipe)))
    kv("Data", plain(data_names(recipe)))
    kv("Method", f"{method(recipe)}, alpha {recipe.lora.alpha}")
    kv("Learning rate", f"{words.rate(training.learning_rate)}, {training.schedule}")
    kv("Batch", f"{training.batch} × {training.accumulation}")


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
    box = st.expander("What it became", icon=":material/fact_check:", key=f"resolved:{job.id}", on_change="rerun")
    if box.open:
        with box:
            text = job.files.resolved.read_text(encoding="utf-8") if job.files.resolved.exists() else ""
            st.code(text or "The worker has not come that far.", language="yaml")
