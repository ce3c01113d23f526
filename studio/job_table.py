"""Runs as a table: status chip, name, progress, loss at a glance, the best held-out loss, settings, time."""

import functools
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.jobs.folder import Job
from core.jobs.listing import known_job
from studio import session, status_chip, words
from studio.local_time import when
from studio.run_row import RunRow, row_of

SPARKLINE_POINTS = 40
# What the table on the page is: its widget's key, the ids of its rows, and how often runs had been chosen elsewhere.
TABLE = "table of runs"
LOSS_HELP = "Compares only among runs of the same base model, objective and held-out rows; with DPO also of the same beta and start."
# Which name was pressed in the table of recent runs.
PRESSED = "recent runs:name"


def job_table(jobs: list[Job]) -> Job | None:
    """The run whose name was pressed. Not a choice of cells: the table makes one itself when Tab or a header leads into it."""
    runs = [row_of(job) for job in jobs]
    look = _look(_tagged(runs))
    width = look["column_config"]["Run"]["width"]
    look["column_config"]["Run"] = st.column_config.ButtonColumn(
        type="tertiary", alignment="left", width=width, help="Press a name to open its run.", key=PRESSED
    )
    # A press tells a row number, of the rows as they were drawn then.
    shown = session.recall(PRESSED, [])
    session.remember(PRESSED, [job.id for job in jobs])
    st.dataframe(_frame(runs), key="recent runs", **look)
    pressed = session.widget_value(PRESSED)
    return known_job(shown[pressed["row"]]) if pressed else None


def run_table(runs: list[RunRow]) -> None:
    """Any number of rows can be chosen; what is chosen on other pages of the table stays so."""
    ids = [run.job.id for run in runs]
    chosen = {job.id for job in session.selected_jobs()}
    elsewhere = session.times_chosen_elsewhere()
    # A choice is a row number, so other rows need another widget: it must not slide to a neighbour.
    key = f"runs:{elsewhere}:{hashlib.sha256(' '.join(ids).encode()).hexdigest()[:12]}"
    session.remember(TABLE, (key, ids, elsewhere))
    st.dataframe(
        _frame(runs),
        key=key,
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [place for place, name in enumerate(ids) if name in chosen]}},
        **_look(_tagged(runs)),
    )


def take_choice() -> bool:
    """Whether rows were ticked or unticked since the table was drawn; they are chosen then."""
    key, ids, elsewhere = session.recall(TABLE, ("none yet", [], None))
    state: Any = session.widget_value(key)
    if state is None or elsewhere != session.times_chosen_elsewhere():
        return False
    # One that was deleted meanwhile, in another tab, cannot be chosen: the page would be drawn anew for it for ever.
    ticked = [ids[place] for place in state["selection"]["rows"] if place < len(ids) and known_job(ids[place])]
    before = [job.id for job in session.selected_jobs()]
    kept = [name for name in before if name in ticked or name not in ids]
    after = kept + [name for name in ticked if name not in kept]
    if after != before:
        session.select_jobs(after, by_table=True)
    return after != before


def _look(tags: bool) -> dict[str, Any]:
    """Widths that together with the boxes fill a window of 1440 pixels, with a column for tags or without."""
    column = st.column_config
    status = column.MultiselectColumn(options=status_chip.WORDS, color=status_chip.COLOURS, width=98)
    return {
        "hide_index": True,
        "row_height": 34,
        "placeholder": words.MISSING,
        "alt": "Runs",
        "column_config": {
            "Status": status,
            "Run": column.TextColumn(width=148 if tags else 180),
            "Progress": column.ProgressColumn(min_value=0, max_value=100, format="%d%%", color="gray", width=88),
            "Train loss": column.LineChartColumn(color="blue", width=76),
            "Best held-out": column.NumberColumn(format="%.3f", width=92, help=LOSS_HELP),
            "Model": column.TextColumn(width=120 if tags else 144),
            "Data": column.TextColumn(width=100),
            "Method": column.TextColumn(width=76 if tags else 100),
            "Tags": column.ListColumn(width=80),
            "Time": column.TextColumn(alignment="right", width=78),
            "Started": column.TextColumn(width=84),
        },
    }


def _frame(runs: list[RunRow]) -> pd.DataFrame:
    frame = pd.DataFrame([_cells(run) for run in runs])
    return frame if _tagged(runs) else frame.drop(columns="Tags")


def _tagged(runs: list[RunRow]) -> bool:
    return any(run.about.tags for run in runs)


def _cells(run: RunRow) -> dict[str, Any]:
    """In a narrow window the columns on the right are scrolled to, so the numbers come before the settings."""
    return {
        "Status": [status_chip.word(run.status)],
        "Run": run.name,
        "Progress": run.percent,
        "Train loss": _losses(run),
        "Best held-out": run.best_held_out,
        "Model": run.model,
        "Data": run.data,
        "Method": run.method,
        "Tags": list(run.about.tags),
        "Time": words.duration(run.duration_s),
        "Started": when(run.created),
    }


# Rows of runs that are over stay the same objects.
@functools.lru_cache(maxsize=1000)
def _losses(run: RunRow) -> list[float]:
    return sparkline(run.job.metrics.thinned("loss").means)


def sparkline(losses: Sequence[float], points: int = SPARKLINE_POINTS) -> list[float]:
    """At most `points` means of neighbouring losses; those that were not finite are left out."""
    # A copy: the column of a live run could not grow while numpy looks into its memory.
    values = np.array(losses, dtype=float)
    values = values[np.isfinite(values)]
    parts = np.array_split(values, min(points, len(values))) if len(values) else []
    return [round(float(part.mean()), 4) for part in parts]
