"""The probe: a button that measures a few real steps, its progress while it runs, and why it failed if it did."""

import streamlit as st

from core.jobs import launcher
from core.jobs.ending import why
from core.jobs.folder import Job
from core.jobs.listing import all_jobs, live_jobs, training_now
from core.jobs.preflight import located
from core.jobs.status import Status
from core.recipe import Recipe
from core.training.probe_recipe import probe_recipe
from studio.errors_shown import errors_shown
from studio.job_stop import job_stop
from studio.layout import split
from studio.live_part import live_part
from studio.markdown import plain_lines
from studio.progress import progress_bar
from studio.session import hub_token


def probe_part(recipe: Recipe, step_s: float | None) -> None:
    """The probe that runs, else the button for one of this recipe, whose steps take so long as far as that is known."""
    if job := next(iter(live_jobs("probe")), None):
        live_part("probing", _under_way, job)
    else:
        _invitation(probe_recipe(recipe, step_s))


def _under_way(job: Job) -> None:
    progress_bar(job)
    job_stop(job, "probe:stop", "Stop measuring")


def _invitation(short: Recipe) -> None:
    wanted = located(probe_recipe(short))
    last = next((job for job in all_jobs("probe") if not job.damage and probe_recipe(job.recipe) == wanted), None)
    if last and last.status in (Status.FAILED, Status.INTERRUPTED):
        st.error(plain_lines(why(last)), icon=":material/error:")
    busy = training_now() is not None
    with split():
        text = (
            "A probe has to wait for the training."
            if busy
            else f"{short.training.max_steps} real steps tell it better."
        )
        st.caption(text, width="content")
        clicked = st.button("Measure", icon=":material/speed:", key="probe", disabled=busy)
    if clicked:
        with errors_shown():
            launcher.start(short, "probe", token=hub_token())
            st.rerun()
