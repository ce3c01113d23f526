"""Small charts of one run: learning rate, gradient norm, speed, memory; of a run on pairs also how many are preferred."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from core.jobs.folder import Job
from studio import charts, words
from studio.layout import kv

# A card is about 200 pixels wide.
BUCKETS = 200


@dataclass(frozen=True)
class Mini:
    """One column of the metrics, its title, how its values are written, and how its axis is; `top` where it has an end."""

    column: str
    title: str
    value: Callable[[float | None], str]
    tick: Callable[[float | None], str]
    top: float | None = None


def _short(number: float | None) -> str:
    """2.6k for an axis."""
    return f"{number / 1000:g}k" if number and number >= 1000 else f"{number:g}"


MINIS = (
    Mini("learning_rate", "Learning rate", words.rate, words.rate),
    Mini(
        "grad_norm", "Gradient norm", lambda number: f"{number:.2f}" if words.known(number) else words.MISSING, _short
    ),
    Mini("tokens_per_s", "Tokens / s", words.whole, _short),
    Mini("memory_bytes", "Memory", words.size, lambda number: f"{number / words.GB:g}"),
)
PREFERRED = Mini("preferred", "Preferred, training", words.percent, words.percent, top=1)


def mini_charts(job: Job) -> None:
    """Equal cards; in two or three lines where the window is narrow."""
    minis = (PREFERRED, *MINIS) if job.recipe.objective.pairs else MINIS
    grid = st.grid(len(minis), min_column_width=200, gap="xsmall", border=True)
    metrics = job.metrics
    for mini in minis:
        with grid.cell():
            newest = mini.value(metrics.last(mini.column))
            kv(mini.title, f"**{newest}**")
            drawn = metrics.thinned(mini.column, buckets=BUCKETS)
            figure = mini_figure(mini, drawn.steps, drawn.values)
            charts.show(figure, alt=f"{mini.title} is {newest}", key=f"mini:{mini.column}")


def mini_figure(mini: Mini, steps: Sequence[float], values: Sequence[float]) -> dict[str, Any]:
    layout = charts.frame(98, left=34, bottom=18)
    top = mini.top or max((value for value in values if math.isfinite(value)), default=0) or 1
    ticks = charts.nice_ticks(0, top * 1.05, wanted=3)
    layout["yaxis"] |= {"range": [-0.04 * top, top * 1.1], "tickvals": ticks, "ticktext": [mini.tick(t) for t in ticks]}
    ends = charts.nice_ticks(0, max(steps), wanted=3, apart=1) if len(steps) else [0]
    room = [0, max(steps) * 1.02] if len(steps) else [0, 1]
    layout["xaxis"] |= {"range": room, "tickvals": ends, "ticktext": [words.whole(tick) for tick in ends]}
    line = {"color": charts.palette().train, "width": 1.6}
    hover = {"hovertemplate": "%{y:.4~g}<extra></extra>"}
    trace = {
        "type": "scatter",
        "mode": charts.line_mode(steps),
        "x": np.asarray(steps),
        "y": np.asarray(values),
        "line": line,
    }
    return {"data": [trace | hover], "layout": layout}
