"""Home once there are runs: what trains now, what needs a person, what ran lately, how the machine is."""

import streamlit as st

from core import home
from core.hardware import machine
from core.jobs.folder import Job
from core.jobs.listing import all_jobs, training_now
from core.jobs.status import Status
from studio import charts, words
from studio.attention_card import attention_card
from studio.job_table import job_table
from studio.layout import page_header, section, split
from studio.live_part import live_part
from studio.loss_chart import curve_of, finding, small_loss_figure
from studio.machine_cards import computer_card, fits_card, gpu_card
from studio.markdown import plain
from studio.metric_strip import held_out_loss, train_loss
from studio.navigation import go_to, open_run
from studio.progress import progress_bar
from studio.run_row import row_of
from studio.run_title import run_title

RECENT = 8


def home_view(jobs: list[Job]) -> None:
    """`jobs` are all trainings, newest first."""
    live = training_now()
    with page_header("Home", _caption(live, jobs)):
        if st.button("New run", icon=":material/add:", type="primary", key="new run"):
            go_to("model_and_data")
    live_part("now", _now, live or jobs[0])
    attention_card(jobs)
    live_part("recent", _recent, live or jobs[0])


def _caption(live: Job | None, jobs: list[Job]) -> str:
    training = "One run is training." if live else "Nothing is training."
    runs = [row_of(job) for job in jobs]
    waiting = sum(run.status is Status.QUEUED for run in runs)
    queued = f" {words.count(waiting, 'run')} in the queue." if waiting else ""
    bad = sum(run.needs_attention for run in runs)
    return training + queued + (f" {words.count(bad, 'run')} did not end well." if bad else "")


def _now(job: Job) -> None:
    reading = machine(home.home())
    grid = st.grid(3, min_column_width=280, gap="small", border=True)
    with grid.cell(column_span=2, row_span=2):
        _run_card(job)
    with grid.cell():
        (gpu_card if reading.gpus else computer_card)(reading)
    with grid.cell():
        (computer_card if reading.gpus else fits_card)(reading)


def _run_card(job: Job) -> None:
    with split():
        run_title(job)
        if st.button("Open", icon=":material/arrow_forward:", icon_position="right", key="open now"):
            open_run(job)
    if job.damage:
        st.caption(plain(job.damage))
        return
    progress_bar(job)
    if len(job.metrics):
        _curve(job)
    else:
        st.caption("The curve begins with the first step." if job.status.live else "It ended before its first step.")


def _curve(job: Job) -> None:
    numbers, plot = st.columns([1, 2.3])
    with numbers:
        train_loss(job, border=False)
        held_out_loss(job, border=False)
    with plot:
        curve = curve_of(job)
        charts.show(small_loss_figure(curve, height=198), alt=finding(curve), key="now")


def _recent(job: Job) -> None:
    with split():
        section("Recent runs")
        if st.button("All runs", icon=":material/chevron_right:", icon_position="right", type="tertiary", key="all"):
            go_to("runs")
    if chosen := job_table(all_jobs("train")[:RECENT]):
        open_run(chosen)
