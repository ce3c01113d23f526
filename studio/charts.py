"""The colours and the frame of every figure, in the theme that the browser shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st


@dataclass(frozen=True)
class Palette:
    """Colours of one theme; series differ in line style and marker as well."""

    train: str
    held_out: str
    best: str
    context: str
    grid: str
    axis: str
    train_label: str
    held_out_label: str
    best_label: str
    paper: str
    panel: str
    tokens: tuple[str, str]  # the two shades of trained tokens
    runs: tuple[str, ...]  # one line each where several runs are compared
    run_labels: tuple[str, ...]  # the same, dark enough for words


LIGHT = Palette(
    train="#3F6AE0",
    held_out="#E0701A",
    best="#0A7468",
    context="#7A828F",
    grid="#EEF0F3",
    axis="#6B7280",
    train_label="#2A4FB8",
    held_out_label="#A8500B",
    best_label="#0A7468",
    paper="#FFFFFF",
    panel="#F5F6F8",
    tokens=("#D3DFFC", "#E6EDFE"),
    runs=("#3F6AE0", "#E0701A", "#0A7468", "#3B1B63", "#A82252", "#A88BB0"),
    run_labels=("#2A4FB8", "#A8500B", "#0A7468", "#3B1B63", "#A82252", "#7C5E86"),
)
DARK = Palette(
    train="#7D9BFF",
    held_out="#F2A15C",
    best="#35C2AE",
    context="#8D94A2",
    grid="#22262E",
    axis="#9BA2AF",
    train_label="#A5B9FF",
    held_out_label="#F5B57E",
    best_label="#5FD6C4",
    paper="#0F1115",
    panel="#191C22",
    tokens=("#2A3A70", "#1E2A52"),
    runs=("#7D9BFF", "#F2A15C", "#35C2AE", "#E3DBFD", "#D6457A", "#8B7A2E"),
    run_labels=("#A5B9FF", "#F5B57E", "#5FD6C4", "#E3DBFD", "#EE7FA5", "#BBA957"),
)


def palette() -> Palette:
    return DARK if st.context.theme.type == "dark" else LIGHT


def frame(height: int, left: int = 34, right: int = 4, bottom: int = 22, top: int = 4) -> dict[str, Any]:
    """The layout that all figures share: no background, hairline grid, small axis text, no mode bar."""
    colours = palette()
    axis = {
        "gridcolor": colours.grid,
        "zeroline": False,
        "tickfont": {"size": 11, "color": colours.axis},
        "title": None,
    }
    return {
        "height": height,
        "margin": {"l": left, "r": right, "t": top, "b": bottom},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x unified",
        "showlegend": False,
        "dragmode": False,
        "uirevision": "same",
        "xaxis": axis | {"showgrid": False, "showline": True, "linecolor": colours.grid},
        "yaxis": axis | {"showline": False},
    }


def show(figure: dict[str, Any], alt: str, key: str) -> None:
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, alt=alt)


def see_through(colour: str, share: float) -> str:
    """A colour such as #3F6AE0 with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def nice_ticks(low: float, high: float, wanted: int = 5, apart: float = 0) -> list[float]:
    """Round numbers in [low, high], about `wanted`, 1, 2 or 5 times a power of ten apart and at least `apart`."""
    if not high > low:
        return [low]
    rough = max((high - low) / wanted, apart)
    power = 10 ** math.floor(math.log10(rough))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(tick * step, 10) for tick in range(first, math.floor(high / step + 1e-9) + 1)]


def line_mode(points: Sequence[float]) -> str:
    """A line, and a marker while one point is all there is."""
    return "lines" if len(points) > 1 else "markers"
