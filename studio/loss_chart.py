"""The loss of one run: raw and smoothed, the held-out points, and the checkpoints on the floor of the plot."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from core.jobs.folder import Job
from core.jobs.metrics import HELD_OUT, Metrics
from core.jobs.thinning import Thinned
from studio import charts, words

# Weight of the newest value in a mean: a long curve is smoothed over more, always over the same share of its length,
# or it would look like the raw one.
MOST, SPAN = 0.07, 14
# How many reports before a short range are smoothed over with it; earlier ones would weigh nothing.
BEFORE = 400
HELD_OUT_BUCKETS = 250
LEAST_SPAN = 0.01


@dataclass(frozen=True)
class LossCurve:
    """What is drawn, all in steps and nats, a token or a pair; a loss that was not finite is NaN and leaves a gap.

    Of a long run `losses` are the extremes, so the means of neighbours are smoothed in their place.
    """

    steps: Sequence[float]
    losses: Sequence[float]
    held_out_steps: Sequence[float] = ()
    held_out_losses: Sequence[float] = ()
    checkpoints: list[int] = field(default_factory=list)
    best: int | None = None
    before: Sequence[float] = ()  # losses of earlier steps, which are smoothed over but not shown
    mean_steps: Sequence[float] = ()
    means: Sequence[float] = ()

    @property
    def smoothed_steps(self) -> Sequence[float]:
        return self.mean_steps if len(self.means) else self.steps

    @cached_property
    def smoothed(self) -> np.ndarray:
        """Twice the exponentially weighted mean less the mean of that mean: it does not trail behind a falling loss.

        It would go on falling for a while where the loss has stopped: nothing is shown beyond all losses that were there.
        """
        shown = self.means if len(self.means) else self.losses
        losses = pd.Series(np.concatenate([self.before, shown]), dtype=float)
        once = _mean(losses)
        return (2 * once - _mean(once)).clip(losses.min(), losses.max()).to_numpy()[len(self.before) :]


def _mean(values: pd.Series) -> pd.Series:
    return values.ewm(alpha=min(MOST, SPAN / max(1, len(values))), ignore_na=True).mean()


def curve_of(job: Job, last: int | None = None, until: int | None = None) -> LossCurve:
    """The curve as of now; of the first `until` reports, and of these only the `last`."""
    metrics = job.metrics
    curve = _end(metrics, last, until) if last else _whole(metrics, until)
    start, stop = (curve.steps[0], curve.steps[-1]) if len(curve.steps) else (0, 0)
    if not len(curve.before):
        start = 0
    held_out = _held_out(metrics, start, stop)
    return replace(
        curve,
        held_out_steps=held_out.steps,
        held_out_losses=held_out.values,
        checkpoints=[c.step for c in job.checkpoints if start <= c.step <= stop],
        best=job.best_step,
    )


def _whole(metrics: Metrics, until: int | None) -> LossCurve:
    loss = metrics.thinned("loss", slice(until or None))
    return LossCurve(loss.steps, loss.values, mean_steps=loss.mean_steps, means=loss.means)


def _end(metrics: Metrics, last: int, until: int | None) -> LossCurve:
    # One look at the columns: where a run is resumed, others take their place.
    steps, losses = metrics.columns["step"], metrics.columns["loss"]
    stop = min(until or len(steps), len(steps))
    start = max(0, stop - last)
    return LossCurve(steps[start:stop], losses[start:stop], before=losses[max(0, start - BEFORE) : start])


def _held_out(metrics: Metrics, start: float, stop: float) -> Thinned:
    """Those measured in these steps, the best and the worst among them however many there are."""
    steps = metrics.held_out_step
    return metrics.thinned(HELD_OUT, slice(bisect_left(steps, start), bisect_right(steps, stop)), HELD_OUT_BUCKETS)


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
    mode = charts.line_mode(curve.steps)
    raw = {"color": charts.see_through(colour, 0.3), "width": 1}
    smooth = {"color": colour, "width": 2.4}
    lines = [
        ("train, raw", curve.steps, curve.losses, raw),
        ("train, smoothed", curve.smoothed_steps, curve.smoothed, smooth),
    ]
    return [
        {"type": "scatter", "mode": mode, "name": name, "x": _numbers(steps), "y": _numbers(values), "line": line}
        | _hover(name)
        for name, steps, values, line in lines
    ]


def _numbers(values: Sequence[float]) -> np.ndarray:
    return np.array(values, dtype=float)


def _held_out_line(curve: LossCurve) -> list[dict[str, Any]]:
    if not len(curve.held_out_steps):
        return []
    colour = charts.palette().held_out
    line = {"color": colour, "width": 1.6, "dash": "dot"}
    points = {"x": _numbers(curve.held_out_steps), "y": _numbers(curve.held_out_losses)}
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


def _range(curve: LossCurve) -> tuple[float, float]:
    shown = np.concatenate([curve.losses, curve.held_out_losses])
    finite = shown[np.isfinite(shown)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if high == low:
        return low - 0.5, high + 0.5
    # The first losses of dpo differ in their tenth digit.
    room = max(0.0, LEAST_SPAN - (high - low)) / 2
    return low - room, high + room


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
        labels.append((float(curve.held_out_losses[-1]), colours.held_out_label))
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
