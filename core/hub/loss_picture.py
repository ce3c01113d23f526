"""The loss of a run as a PNG, for its model card: drawn here, because a chart library would need a browser for it."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.jobs.folder import Job
from core.jobs.metrics import HELD_OUT

# Drawn larger and made smaller, so that lines are smooth.
SCALE = 3
WIDTH, HEIGHT = 960, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 34, 34
RAW, TRAIN, EVAL, GRID, WORDS = "#C8D4F6", "#3F6AE0", "#E0701A", "#E6E8EC", "#5B6270"
# Reports that one point of the smooth line is the mean of, as a share of all.
SMOOTH = 1 / 40


@dataclass(frozen=True)
class _Plot:
    """A drawing, and where the values of its axes lie in it."""

    draw: ImageDraw.ImageDraw
    steps: tuple[float, float]
    losses: tuple[float, float]

    def place(self, step: float, loss: float) -> tuple[float, float]:
        across = (step - self.steps[0]) / ((self.steps[1] - self.steps[0]) or 1)
        up = (loss - self.losses[0]) / ((self.losses[1] - self.losses[0]) or 1)
        return SCALE * (LEFT + across * (WIDTH - LEFT - RIGHT)), SCALE * (
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)
        )

    def line(self, steps: Sequence[float], losses: Sequence[float], colour: str, width: float) -> None:
        """A value that is no number leaves a gap."""
        pairs = list(zip(steps, losses, strict=True))
        for one, other in pairwise(pairs):
            if math.isfinite(one[1]) and math.isfinite(other[1]):
                self.draw.line([self.place(*one), self.place(*other)], fill=colour, width=round(width * SCALE))

    def dots(self, steps: Sequence[float], losses: Sequence[float], colour: str) -> None:
        for step, loss in zip(steps, losses, strict=True):
            if math.isfinite(loss):
                self.draw.circle(self.place(step, loss), 4 * SCALE, fill="white", outline=colour, width=2 * SCALE)

    def words(self, place: tuple[float, float], text: str, anchor: str, colour: str = WORDS) -> None:
        self.draw.text(place, text, fill=colour, anchor=anchor, font=ImageFont.load_default(13 * SCALE))


def loss_png(run: Job) -> bytes | None:
    """The training and the held-out loss by step; None where neither was reported."""
    train, held_out = run.metrics.thinned("loss"), run.metrics.thinned(HELD_OUT)
    steps = np.array([*train.steps, *held_out.steps])
    losses = np.array([*train.values, *held_out.values])
    known = losses[np.isfinite(losses)]
    if not len(known):
        return None
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
    margin = 0.05 * (known.max() - known.min()) or 0.5
    plot = _Plot(ImageDraw.Draw(image), (steps.min(), steps.max()), (known.min() - margin, known.max() + margin))
    _axes(plot)
    plot.line(train.steps, train.values, RAW, 1)
    plot.line(*_smooth(train.steps, train.values), TRAIN, 2.4)
    plot.line(held_out.steps, held_out.values, EVAL, 1.6)
    plot.dots(held_out.steps, held_out.values, EVAL)
    _legend(plot, bool(len(train.steps)), bool(len(held_out.steps)))
    file = io.BytesIO()
    shown = image.resize((WIDTH * 2, HEIGHT * 2), Image.Resampling.LANCZOS)
    shown.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def _smooth(steps: Sequence[float], losses: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each point's neighbours, fewer at the ends."""
    values, half = np.array(losses, dtype=float), max(1, round(len(losses) * SMOOTH))
    finite = np.isfinite(values)
    sums = np.cumsum([0, *np.where(finite, values, 0)])
    counts = np.cumsum([0, *finite])
    place = np.arange(len(values))
    low, high = np.maximum(place - half, 0), np.minimum(place + half + 1, len(values))
    with np.errstate(invalid="ignore"):
        return np.array(steps), (sums[high] - sums[low]) / (counts[high] - counts[low])


def _axes(plot: _Plot) -> None:
    for loss in _round_numbers(*plot.losses, 5):
        left, right = plot.place(plot.steps[0], loss), plot.place(plot.steps[1], loss)
        plot.draw.line([left, right], fill=GRID, width=SCALE)
        plot.words((left[0] - 8 * SCALE, left[1]), f"{loss:g}", "rm")
    floor = SCALE * (HEIGHT - BOTTOM + 8)
    for step in _round_numbers(*plot.steps, 8):
        plot.words((plot.place(step, plot.losses[0])[0], floor), f"{step:,.0f}", "mt")
    plot.words((SCALE * (WIDTH - RIGHT), SCALE * TOP / 2), "loss by step", "rm")


def _round_numbers(low: float, high: float, most: int) -> list[float]:
    """At most so many multiples of 1, 2 or 5 times a power of ten."""
    span = (high - low) or 1
    power = 10.0 ** math.floor(math.log10(span / most))
    apart = next(power * times for times in (1, 2, 5, 10) if span / (power * times) <= most)
    first = math.ceil(low / apart)
    return [round(number * apart, 10) for number in range(first, math.floor(high / apart) + 1)]


def _legend(plot: _Plot, trained: bool, held_out: bool) -> None:
    at = LEFT
    for shown, name, colour in ((trained, "training", TRAIN), (held_out, "held out", EVAL)):
        if shown:
            middle = SCALE * TOP / 2
            plot.draw.line([(SCALE * at, middle), (SCALE * (at + 18), middle)], fill=colour, width=3 * SCALE)
            plot.words((SCALE * (at + 24), middle), name, "lm")
            at += 104
