"""The loss of one run: raw and smoothed, the held-out points, and the checkpoints on the floor of the plot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from core.jobs.folder import Job
from studio import charts, words
from studio.run_facts import best_step

# Weight of the newest step in a mean: a long curve is smoothed over more steps, or it would look like the raw one.
MOST, LEAST, SPAN = 0.07, 0.02, 14


@dataclass(frozen=True)
class LossCurve:
    """What is drawn, all in steps and nats a token; a loss that was not finite is NaN and leaves a gap."""

    steps: Sequence[float]
    losses: Sequence[float]
    held_out_steps: Sequence[float] = ()
    held_out_losses: Sequence[float] = ()
    checkpoints: list[int] = field(default_factory=list)
    best: int | None = None
    before: Sequence[float] = ()  # losses of earlier steps, which are smoothed over but not shown

    @property
    def smoothed(self) -> np.ndarray:
        """Twice the exponentially weighted mean less the mean of that mean: it does not trail behind a falling loss."""
        once = _mean(pd.Series([*self.before, *self.losses], dtype=float))
        return (2 * once - _mean(once)).to_numpy()[len(self.before) :]


def _mean(values: pd.Series) -> pd.Series:
    return values.ewm(alpha=min(MOST, max(LEAST, SPAN / max(1, len(values)))), ignore_na=True).mean()


def curve_of(job: Job, last: int | None = None, until: int | None = None) -> LossCurve:
    """The curve as of now; of the first `until` reports, and of these only the `last`."""
    metrics = job.metrics
    end = min(until or len(metrics), len(metrics))
    part = slice(max(0, end - last) if last else 0, end)
    steps = metrics["step"][part]
    start, stop = (steps[0], steps[-1]) if steps else (0, 0)
    if not part.start:
        start = 0
    return LossCurve(
        steps=steps,
        losses=metrics["loss"][part],
        **_held_out(metrics.held_out_step, metrics.held_out_loss, start, stop),
        checkpoints=[c.step for c in job.checkpoints if start <= c.step <= stop],
        best=best_step(job),
        before=metrics["loss"][: part.start],
    )


def _held_out(steps: Sequence[float], losses: Sequence[float], start: float, end: float) -> dict[str, list[float]]:
    pairs = [(step, loss) for step, loss in zip(steps, losses, strict=False) if start <= step <= end]
    return {"held_out_steps": [step for step, _ in pairs], "held_out_losses": [loss for _, loss in pairs]}


def loss_figure(curve: LossCurve, height: int = 322, logarithmic: bool = False) -> dict[str, Any]:
    """The whole figure, with legend, labels at the line ends and checkpoints."""
    low, high = _range(curve)
    floor = _between(low, high, -0.16, logarithmic)
    layout = charts.frame(height, left=38, right=54, top=30)
    layout["legend"] = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}}
    layout["showlegend"] = True
    layout["xaxis"] |= _step_axis(curve.steps)
    layout["yaxis"] |= _value_axis(floor, high, logarithmic)
    layout["annotations"] = _end_labels(curve, low, high, logarithmic)
    return {"data": [*_train_lines(curve), *_held_out_line(curve), *_checkpoints(curve, floor)], "layout": layout}


def small_loss_figure(curve: LossCurve, height: int = 176) -> dict[str, Any]:
    """The two train lines alone, for a card."""
    low, high = _range(curve)
    layout = charts.frame(height, left=34)
    layout["xaxis"] |= _step_axis(curve.steps, unit="")
    layout["yaxis"] |= {"range": [low - 0.1 * (high - low), high], "nticks": 5}
    return {"data": _train_lines(curve), "layout": layout}


def finding(curve: LossCurve) -> str:
    """The figure in a sentence, for those who cannot see it."""
    if not len(curve.steps):
        return "No loss has been reported yet"
    held_out = f"; held-out loss {words.loss(curve.held_out_losses[-1])}" if len(curve.held_out_losses) else ""
    return f"Training loss at step {words.whole(curve.steps[-1])} is {words.loss(curve.smoothed[-1])}{held_out}"


def _train_lines(curve: LossCurve) -> list[dict[str, Any]]:
    colour = charts.palette().train
    steps = np.asarray(curve.steps, dtype=float)
    raw = {"color": charts.see_through(colour, 0.3), "width": 1}
    lines = [("train, raw", np.asarray(curve.losses, dtype=float), raw)]
    lines.append(("train, smoothed", curve.smoothed, {"color": colour, "width": 2.4}))
    return [
        {"type": "scatter", "mode": charts.line_mode(steps), "name": name, "x": steps, "y": values, "line": line}
        | _hover(name)
        for name, values, line in lines
    ]


def _held_out_line(curve: LossCurve) -> list[dict[str, Any]]:
    if not len(curve.held_out_steps):
        return []
    colour = charts.palette().held_out
    line = {"color": colour, "width": 1.6, "dash": "dot"}
    points = {"x": list(curve.held_out_steps), "y": list(curve.held_out_losses)}
    marks = {"mode": "lines+markers", "line": line, "marker": {"color": colour, "size": 9}}
    return [{"type": "scatter", "name": "held-out"} | points | marks | _hover("held-out")]


def _checkpoints(curve: LossCurve, floor: float) -> list[dict[str, Any]]:
    """Hollow diamonds; the best is filled."""
    colours = charts.palette()
    hollow = [step for step in curve.checkpoints if step != curve.best]
    best = [step for step in curve.checkpoints if step == curve.best]
    kinds = [
        ("checkpoint", hollow, {"symbol": "diamond-open", "color": colours.context, "line": {"width": 1.6}}),
        ("best checkpoint", best, {"symbol": "diamond", "color": colours.best}),
    ]
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": steps,
            "y": [floor + 0.0] * len(steps),
            "marker": marker | {"size": 10},
            "hovertemplate": f"{name}<extra></extra>",
        }
        for name, steps, marker in kinds
        if steps
    ]


def _hover(name: str) -> dict[str, str]:
    return {"hovertemplate": f"{name} %{{y:.3f}}<extra></extra>"}


def _finite(curve: LossCurve) -> list[float]:
    return [loss for loss in [*curve.losses, *curve.held_out_losses] if math.isfinite(loss)]


def _range(curve: LossCurve) -> tuple[float, float]:
    finite = _finite(curve) or [0.0, 1.0]
    low, high = min(finite), max(finite)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _between(low: float, high: float, share: float, logarithmic: bool) -> float:
    """The value at a share of the height, 0 at `low` and 1 at `high`."""
    if not logarithmic:
        return low + share * (high - low)
    return 10 ** (_exponent(low) + share * (_exponent(high) - _exponent(low)))


def _exponent(value: float) -> float:
    """Where a value stands on a logarithmic axis, which has no place for zero."""
    return math.log10(max(value, 1e-6))


def _value_axis(floor: float, high: float, logarithmic: bool) -> dict[str, Any]:
    if logarithmic:
        return {"type": "log", "range": [_exponent(floor) - 0.02, _exponent(high) + 0.02], "nticks": 6}
    room = 0.06 * (high - floor)
    return {"range": [floor - room, high + room / 2], "nticks": 6}


def _step_axis(steps: Sequence[float], unit: str = "step ") -> dict[str, Any]:
    """Round steps as ticks; the last one carries the unit, so the axis needs no title."""
    if not len(steps):
        return {"range": [0, 1], "tickvals": []}
    first, last = steps[0], max(steps[-1], steps[0] + 1)
    ticks = charts.nice_ticks(0 if first <= 1 else first, last, wanted=6, apart=1)
    texts = [words.whole(tick) for tick in ticks]
    texts[-1] = unit + texts[-1]
    start = 0 if first <= 1 else first
    edge = 0.012 * (last - start)  # room for a marker on the first and the last step
    return {"range": [start - edge, last + edge], "tickvals": ticks, "ticktext": texts}


def _end_labels(curve: LossCurve, low: float, high: float, logarithmic: bool) -> list[dict[str, Any]]:
    """The newest smoothed and held-out loss at the right edge, moved apart where they would touch."""
    colours, labels = charts.palette(), []
    if len(curve.steps):
        labels.append((float(curve.smoothed[-1]), colours.train_label))
    if len(curve.held_out_losses):
        labels.append((curve.held_out_losses[-1], colours.held_out_label))
    labels = sorted((label for label in labels if math.isfinite(label[0])), reverse=True)
    scale = _exponent if logarithmic else float
    near = len(labels) == 2 and scale(labels[0][0]) - scale(labels[1][0]) < 0.08 * (scale(high) - scale(low))
    shifts = (9, -9) if near else (0, 0)
    return [
        {
            "x": 1,
            "xref": "paper",
            "xanchor": "left",
            "xshift": 8,
            "y": scale(value),
            "yshift": shift,
            "text": f"<b>{words.loss(value)}</b>",
            "font": {"size": 12, "color": colour},
            "showarrow": False,
        }
        for (value, colour), shift in zip(labels, shifts, strict=False)
    ]
