"""What a probe trains: the recipe for a few steps, measuring and keeping nothing else on the way. No torch."""

import math

from core.recipe import Recipe
from core.training.methods import METHODS

# One on rows as they come, after which there is an optimiser's state, one on the longest rows, for the memory; then, for the time,
# on rows as they come again: four, or where those are soon over as many as take so many seconds. The first are slower in every
# training: caches are cold, libraries choose their ways, the optimiser's state is new.
UNTIMED = 2
LEAST_TIMED, MOST_TIMED = 4, 40
TIMED_S = 15


def probe_recipe(recipe: Recipe, step_s: float | None = None) -> Recipe:
    """The same batch, length, model and adapter, in one process; only what repeats itself is left out.

    `step_s` is how long a step of the recipe takes, as far as that is known.
    """
    # Gradients that wait for a second batch are as large as the model where all of it is trained, and small elsewhere.
    accumulation = min(2, recipe.training.accumulation) if METHODS[recipe.lora.method].whole else 1
    training = recipe.training.model_copy(
        update={
            "max_steps": UNTIMED + _timed(step_s and step_s * accumulation / recipe.training.accumulation),
            "accumulation": accumulation,
            "log_every": 1,
            "eval_every": None,
            "early_stopping": None,
            "load_best": False,
            "trackers": [],
        }
    )
    checkpoints = recipe.checkpoints.model_copy(
        update={"every_steps": None, "every_minutes": None, "keep": 1, "hub_backup": None}
    )
    launcher = recipe.launcher.model_copy(update={"processes": 1})
    return recipe.model_copy(update={"training": training, "checkpoints": checkpoints, "launcher": launcher})


def _timed(step_s: float | None) -> int:
    return max(LEAST_TIMED, min(MOST_TIMED, math.ceil(TIMED_S / step_s))) if step_s else LEAST_TIMED
