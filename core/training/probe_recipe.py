"""What a probe trains: the recipe for a few steps, measuring and keeping nothing else on the way. No torch."""

from core.recipe import Recipe
from core.training.methods import METHODS

# Two on the longest rows, for the memory, then three on rows as they come, for the time.
LONGEST_STEPS = 2
STEPS = 5


def probe_recipe(recipe: Recipe) -> Recipe:
    """The same batch, length, model and adapter, in one process; only what repeats itself is left out."""
    # Gradients that wait for a second batch are as large as the model where all of it is trained, and small elsewhere.
    accumulation = min(2, recipe.training.accumulation) if METHODS[recipe.lora.method].whole else 1
    training = recipe.training.model_copy(
        update={
            "max_steps": STEPS,
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
