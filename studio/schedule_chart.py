"""The learning rate of every step, as the recipe's schedule makes it."""

from typing import Any

from core.recipe_training import TrainingSection
from core.training.schedules import rate_at, warmup_steps
from studio import charts, words

HEIGHT = 192
POINTS = 200
STEPS_IF_UNKNOWN = 1000


def schedule_chart(training: TrainingSection, steps: int | None) -> None:
    warm = warmup_steps(training, steps or STEPS_IF_UNKNOWN)
    where = f"{warm:,} of {steps:,} steps" if steps else f"{words.percent(training.warmup)} of the steps"
    alt = f"The learning rate rises to {words.rate(training.learning_rate)} in {where}, then: {training.schedule}"
    charts.show(schedule_figure(training, steps), alt=alt, key="schedule")


def schedule_figure(training: TrainingSection, steps: int | None) -> dict[str, Any]:
    """Steps from left to right; shares of the run where the steps are not counted yet."""
    total = steps or STEPS_IF_UNKNOWN
    warm = warmup_steps(training, total)
    xs = sorted({round(total * point / POINTS) for point in range(POINTS + 1)} | {warm})
    layout = charts.frame(HEIGHT, left=38, right=14, top=8)
    peak = training.learning_rate
    ticks = [0, peak / 2, peak]
    layout["yaxis"] |= {"range": [0, peak * 1.08], "tickvals": ticks, "ticktext": [words.rate(tick) for tick in ticks]}
    layout["xaxis"] |= _step_axis(total, known=steps is not None)
    if warm:
        _mark_warmup(layout, warm, total, known=steps is not None)
    return {"data": [_line(xs, [rate_at(x, training, total) for x in xs], known=steps is not None)], "layout": layout}


def _line(xs: list[int], rates: list[float], known: bool) -> dict[str, Any]:
    colour = charts.palette().train
    return {
        "type": "scatter",
        "mode": "lines",
        "x": xs,
        "y": rates,
        "line": {"color": colour, "width": 2},
        "fill": "tozeroy",
        "fillcolor": charts.see_through(colour, 0.08),
        "customdata": [words.rate(rate) for rate in rates],
        "hovertemplate": ("step %{x:,}: " if known else "") + "%{customdata}<extra></extra>",
    }


def _step_axis(total: int, known: bool) -> dict[str, Any]:
    ticks = [0, total // 2, total]
    texts = [words.whole(tick) if known else words.percent(tick / total) for tick in ticks]
    return {"range": [0, total], "tickvals": ticks, "ticktext": ["0", texts[1], texts[2]]}


def _mark_warmup(layout: dict[str, Any], warm: int, total: int, known: bool) -> None:
    line = {"color": charts.palette().axis, "width": 1.2, "dash": "dot"}
    layout["shapes"] = [{"type": "line", "x0": warm, "x1": warm, "y0": 0, "y1": 1, "yref": "paper", "line": line}]
    early = warm < total * 0.6
    layout["annotations"] = [
        {
            "x": warm,
            "y": 0.08,
            "yref": "paper",
            "yanchor": "bottom",
            "xanchor": "left" if early else "right",
            "xshift": 5 if early else -5,
            "text": f"warm-up ends, step {warm:,}" if known else f"warm-up ends at {words.percent(warm / total)}",
            "showarrow": False,
            "font": {"size": 11, "color": charts.palette().axis},
        }
    ]
