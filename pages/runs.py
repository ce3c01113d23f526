"""Runs: every training there was, and everything about the chosen one."""

import streamlit as st

from core.jobs.folder import all_jobs
from studio.empty_state import empty_state
from studio.layout import page_header
from studio.navigation import go_to
from studio.run_details import run_details
from studio.runs_view import caption, run_chooser
from studio.session import selected_job

jobs = all_jobs("train")
with page_header("Runs", caption(jobs) if jobs else "Every training, with its curve and result."):
    if st.button("New run", icon=":material/add:", type="primary", key="new run"):
        go_to("model_and_data")

if not jobs:
    empty_state("list_alt", "No runs yet", "Runs you start appear here with their loss curve and result.")
else:
    run_chooser(live=any(job.status.live for job in jobs))
    if chosen := selected_job():
        run_details(chosen)
    else:
        st.caption("Choose a run to see its curve, recipe, checkpoints and log.")
