"""The live dashboard of one run, in two parts that redraw themselves: its state, and its curves."""

import streamlit as st

from core import home
from core.hardware import machine
from core.jobs import queue
from core.jobs.folder import Job
from studio.backup_words import backup_line
from studio.checkpoint_list import checkpoint_list
from studio.event_list import event_list
from studio.layout import section
from studio.live_part import live_part
from studio.local_time import when
from studio.log_view import log_view
from studio.loss_card import loss_card
from studio.metric_strip import metric_strip
from studio.mini_charts import mini_charts
from studio.queue_card import queue_card
from studio.run_details import recipe_facts
from studio.run_header import run_header


def train_view(job: Job) -> None:
    live_part("state", _state, job)
    if not job.damage:
        live_part("curves", _curves, job)
        log_view(job)


def _state(job: Job) -> None:
    run_header(job)
    backup_line(job)
    if len(job.metrics):
        metric_strip(job, machine(home.home()))


def _curves(job: Job) -> None:
    if len(job.metrics) or not job.status.live:
        loss_card(job)
    if len(job.metrics):
        mini_charts(job)
    grid = st.grid(3, min_column_width=280, gap="small", border=True)
    with grid.cell(column_span=2, row_span=2):
        event_list(job)
    with grid.cell():
        checkpoint_list(job)
    with grid.cell(), st.container(gap="xxsmall"):
        _queue_or_recipe(job)


def _queue_or_recipe(job: Job) -> None:
    """Who waits matters more than what was set; without anybody waiting, the recipe."""
    if waiting := queue.waiting():
        queue_card(waiting)
        return
    section("Recipe")
    recipe_facts(job.recipe)
    st.caption(f"Started {when(job.created)}")
