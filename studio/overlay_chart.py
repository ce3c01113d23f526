"""The losses of several runs over each other: a colour, a marker and a label at the end for each."""

import html
import math
from typing import Any

import numpy as np

from studio import charts, words
from studio.run_line import RunLine

MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
# More markers than this would be a smear.
MOST_MARKERS = 40
LABEL_PX = 15


def overlay_figure(lines: list[RunLine], over: str = "Steps", height: int = 340) -> dict[str, Any]:
    """The whole figure; colours and markers go by the order of the lines."""
    layout = charts.frame(height, left=38, right=54, top=14 + 18 * -(-len(lines) // 2))
    layout["legend"] = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}}
    layout["showlegend"] = True
    layout["dragmode"] = "zoom"
    low, high = _span([values for line in lines for values in (line.losses, line.held_out)])
    room = 0.05 * (high - low)
    layout["xaxis"] |= _axis(over, _last(lines))
    layout["yaxis"] |= {"range": [low - room, high + room], "nticks": 6}
    plot_px = height - layout["margin"]["t"] - layout["margin"]["b"]
    layout["annotations"] = _end_labels(lines, low - room, (high - low + 2 * room) / plot_px)
    return {"data": [trace for number, line in enumerate(lines) for trace in _traces(line, number)], "layout": layout}


def finding(lines: list[RunLine]) -> str:
    """The figure in a sentence, for those who cannot see it."""
    ends = [f"{line.label} {words.loss(line.newest)}" for line in lines if line.newest is not None]
    return f"Newest loss: {', '.join(ends)}" if ends else "No losses yet"


def _traces(line: RunLine, number: int) -> list[dict[str, Any]]:
    colours = charts.palette()
    colour, name = colours.runs[number], html.escape(line.label)
    shared = {"type": "scatter", "name": name, "legendgroup": str(number)}
    train = {
        "mode": charts.line_mode(line.x),
        "x": line.x,
        "y": line.losses,
        "line": {"color": colour, "width": 2},
        "hovertemplate": "%{fullData.name}: train %{y:.3f}<extra></extra>",
    }
    marked = "lines+markers" if len(line.held_out) <= MOST_MARKERS else "lines"
    hollow = {"symbol": MARKERS[number], "size": 9, "color": colours.paper, "line": {"color": colour, "width": 1.8}}
    held_out = {
        "mode": marked,
        "x": line.held_out_x,
        "y": line.held_out,
        "line": {"color": colour, "width": 1.2, "dash": "dot"},
        "marker": hollow,
        "hovertemplate": "%{fullData.name}: held-out %{y:.3f}<extra></extra>",
        "showlegend": not len(line.x),
    }
    return [shared | part for part in (train, held_out) if len(part["x"])]


def _span(columns: list[np.ndarray]) -> tuple[float, float]:
    values = np.concatenate([np.zeros(0), *columns])
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _last(lines: list[RunLine]) -> float:
    ends = np.concatenate([np.zeros(1), *(part for line in lines for part in (line.x, line.held_out_x))])
    return float(np.nanmax(ends)) or 1.0


def _axis(over: str, last: float) -> dict[str, Any]:
    """Round ticks; the last one carries the unit, so the axis needs no title."""
    before, unit_s, after = _unit(over, last)
    ticks = charts.nice_ticks(0, last / unit_s, wanted=6, apart=1 if over == "Steps" else 0)
    texts = [words.whole(tick) if over == "Steps" else f"{tick:g}" for tick in ticks]
    texts[-1] = f"{before}{texts[-1]}{after}"
    edge = 0.012 * last  # room for a marker on the first and the last step
    values = [tick * unit_s for tick in ticks]
    return {"range": [-edge, last + edge], "tickvals": values, "ticktext": texts, "hoverformat": ".4~g"}


def _unit(over: str, last: float) -> tuple[str, float, str]:
    """What stands before a number, how much of the axis is one, what stands behind it."""
    if over != "Time":
        return ("step ", 1, "") if over == "Steps" else ("epoch ", 1, "")
    return next((("", s, f" {name}") for s, name in ((3600, "h"), (60, "min")) if last >= 2 * s), ("", 1, " s"))


def _end_labels(lines: list[RunLine], floor: float, a_px: float) -> list[dict[str, Any]]:
    """The newest losses at the right edge, moved down where they would touch; `a_px` is the loss that a pixel stands for."""
    known = [(line.newest, number) for number, line in enumerate(lines) if line.newest is not None]
    labels, below = [], math.inf
    lowest = floor + LABEL_PX * a_px * (len(known) - 0.5)
    for value, number in sorted(known, reverse=True):
        y = min(max(value, lowest), below)
        below, lowest = y - LABEL_PX * a_px, lowest - LABEL_PX * a_px
        labels.append(_label(value, y, charts.palette().run_labels[number]))
    return labels


def _label(value: float, y: float, colour: str) -> dict[str, Any]:
    return {
        "x": 1,
        "xref": "paper",
        "xanchor": "left",
        "xshift": 8,
        "y": y,
        "text": f"<b>{words.loss(value)}</b>",
        "font": {"size": 12, "color": colour},
        "showarrow": False,
    }
