"""Runs: every training there was, everything about the chosen one, or several beside each other."""

import streamlit as st

from studio.compare_view import compare_view
from studio.empty_state import empty_state
from studio.job_choice import chosen_runs
from studio.layout import page_header
from studio.navigation import go_to
from studio.run_details import run_details
from studio.run_filters import tags_of
from studio.run_row import all_rows
from studio.runs_view import caption, run_chooser

runs, chosen = all_rows(), chosen_runs()
with page_header("Runs", caption(runs) if runs else "Every training, with its curve and result."):
    if st.button("New run", icon=":material/add:", type="secondary" if chosen else "primary", key="new run"):
        go_to("model_and_data")

if not runs:
    empty_state("list_alt", "No runs yet", "Runs you start appear here with their loss curve and result.")
else:
    run_chooser(runs)
    match chosen:
        case []:
            st.caption("Select a run to see its curve, recipe, checkpoints and log; select several to compare them.")
        case [job]:
            run_details(job, tags_of(runs))
        case jobs:
            compare_view(jobs)
