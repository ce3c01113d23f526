"""The learning rate's schedules: their names in transformers, their settings, and the rate of every step. No torch."""

import math
from typing import Any

from core.recipe_training import TrainingSection

# `constant_with_warmup` is `constant` where the warm-up is 0.
SCHEDULES = {
    "cosine": "cosine",
    "linear": "linear",
    "constant": "constant_with_warmup",
    "cosine_with_min_lr": "cosine_with_min_lr",
    "warmup_stable_decay": "warmup_stable_decay",
    "polynomial": "polynomial",
    "inverse_sqrt": "inverse_sqrt",
}
POWER = 2
# transformers' own where there is no warm-up to take it from.
TIMESCALE = 10_000


def warmup_steps(training: TrainingSection, steps: int) -> int:
    """A share of the steps, rounded up, as transformers does (`TrainingArguments.get_warmup_steps`).

    One step is left to learn in: the only one of a short run would have the rate 0.
    """
    return min(math.ceil(steps * training.warmup), steps - 1)


def decay_steps(training: TrainingSection, steps: int) -> int:
    """The steps at the end in which `warmup_stable_decay` falls."""
    return min(math.ceil(steps * training.decay), steps - warmup_steps(training, steps))


def settings(training: TrainingSection, steps: int) -> dict[str, Any]:
    """What transformers' `get_scheduler` takes beside the warm-up."""
    return {
        "cosine_with_min_lr": {"min_lr_rate": training.min_rate},
        "warmup_stable_decay": {"num_decay_steps": decay_steps(training, steps)},
        "polynomial": {"power": POWER, "lr_end": 0.0},
    }.get(training.schedule, {})


def rate_at(step: int, training: TrainingSection, steps: int) -> float:
    """The learning rate after `step` steps, as transformers/optimization.py computes it."""
    warm = warmup_steps(training, steps)
    share = step / warm if step < warm else _after_warmup(step, warm, training, steps)
    return training.learning_rate * share


def _after_warmup(step: int, warm: int, training: TrainingSection, steps: int) -> float:
    """The share of the highest rate, from 0 to 1."""
    done = (step - warm) / max(1, steps - warm)
    match training.schedule:
        case "constant":
            return 1.0
        case "cosine":
            return max(0.0, _cosine(done))
        case "cosine_with_min_lr":
            return _cosine(done) * (1 - training.min_rate) + training.min_rate
        case "polynomial":
            return (1 - done) ** POWER
        case "inverse_sqrt":
            timescale = warm or TIMESCALE
            return math.sqrt(timescale / (step + timescale - warm))
        case "warmup_stable_decay":
            falling = decay_steps(training, steps)
            begins = steps - falling
            if step < begins:
                return 1.0
            return max(0.0, _cosine((step - begins) / max(1, falling))) if step < steps else 0.0
    return max(0.0, 1 - done)


def _cosine(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2
