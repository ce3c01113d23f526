"""Runs as a table: status chip, name, model, method, progress, loss at a glance, time."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.jobs.folder import Job
from studio import status_chip, words
from studio.local_time import when
from studio.progress import percent_done
from studio.run_facts import method, model_name

SPARKLINE_POINTS = 40


def job_table(jobs: list[Job]) -> None:
    """For reading only."""
    st.dataframe(_frame(jobs), key="recent runs", **_look())


def job_choice_table(jobs: list[Job], chosen: Job | None) -> Job | None:
    """One row can be chosen; the chosen job, or None."""
    ids = [job.id for job in jobs]
    rows = [ids.index(chosen.id)] if chosen and chosen.id in ids else []
    # A choice is a row number, so other rows need another widget: it must not slide to a neighbour.
    key = hashlib.sha256(" ".join(ids).encode()).hexdigest()[:12]
    state: Any = st.dataframe(
        _frame(jobs),
        key=f"runs:{key}",
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": rows}},
        **_look(),
    )
    picked = state.selection.rows
    return jobs[picked[0]] if picked and picked[0] < len(jobs) else None


def _look() -> dict[str, Any]:
    column = st.column_config
    status = column.MultiselectColumn(options=status_chip.WORDS, color=status_chip.COLOURS, width=104)
    return {
        "hide_index": True,
        "row_height": 34,
        "placeholder": words.MISSING,
        "alt": "Runs, newest first",
        "column_config": {
            "Status": status,
            "Run": column.TextColumn(width=190),
            "Model": column.TextColumn(width=142),
            "Method": column.TextColumn(width=92),
            "Progress": column.ProgressColumn(min_value=0, max_value=100, format="%d%%", color="gray", width=124),
            "Train loss": column.LineChartColumn(color="blue", width=122),
            "Held-out": column.NumberColumn(format="%.3f", width=84),
            "Time": column.TextColumn(alignment="right", width=84),
            "Started": column.TextColumn(width=100),
        },
    }


def _frame(jobs: list[Job]) -> pd.DataFrame:
    return pd.DataFrame([_row(job) for job in jobs])


def _row(job: Job) -> dict[str, Any]:
    """In a narrow window the columns on the right are scrolled to, so the numbers come before the settings."""
    whole = not job.damage
    return {
        "Status": [status_chip.word(job.status)],
        "Run": job.name,
        "Progress": percent_done(job) if whole else None,
        "Train loss": sparkline(job.metrics["loss"]),
        "Held-out": job.metrics.last_held_out_loss,
        "Model": model_name(job.recipe) if whole else None,
        "Method": method(job.recipe) if whole else None,
        "Time": words.duration(job.duration_s),
        "Started": when(job.created),
    }


def sparkline(losses: Sequence[float], points: int = SPARKLINE_POINTS) -> list[float]:
    """At most `points` means of neighbouring losses; those that were not finite are left out."""
    values = np.asarray(losses, dtype=float)
    values = values[np.isfinite(values)]
    parts = np.array_split(values, min(points, len(values))) if len(values) else []
    return [round(float(part.mean()), 4) for part in parts]
