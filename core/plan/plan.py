"""The plan: what a recipe will take, by arithmetic on the model's shape. No torch, no weights, no network."""

import math
from dataclasses import dataclass

from core.files import read_json
from core.models.known_shape import config_file, shape_of, trained_shape
from core.plan.trainable import trainable_parameters
from core.recipe import Recipe
from core.training.methods import METHODS
from core.where import Place, local_path, place_of

# A checkpoint holds what is trained (fp32), the optimiser's state, and about this much of other state and tokenizer.
CHECKPOINT_EXTRA_BYTES = 8_000_000
# Bytes of state for each weight; AdamW has two moments in fp32. Adafactor's rows and columns are next to nothing.
STATE_BYTES = {"adamw_8bit": 2, "paged_adamw_8bit": 2, "adafactor": 0, "sgd": 0}


@dataclass(frozen=True)
class Plan:
    """Steps, tokens, parameters and disk of a run; None where the data has not been counted yet."""

    rows: int | None
    steps: int | None
    tokens: int | None
    trainable: int | None
    model_parameters: int | None
    checkpoints: int | None
    disk_bytes: int

    @property
    def trainable_share(self) -> float | None:
        return self.trainable / self.model_parameters if self.trainable and self.model_parameters else None


def plan(recipe: Recipe, rows: int | None = None, tokens: int | None = None) -> Plan:
    """What the recipe will take. `rows` and `tokens` are those of one epoch, held-out rows already taken off."""
    shape = trained_shape(recipe.model)
    steps = total_steps(recipe, rows)
    epochs = steps / steps_of_epoch(recipe, rows) if steps and rows else None
    return Plan(
        rows=rows,
        steps=steps,
        tokens=round(tokens * epochs) if tokens and epochs else None,
        trainable=trainable_parameters(recipe),
        model_parameters=shape.parameters if shape else None,
        checkpoints=math.ceil(steps / (recipe.checkpoints.every_steps or steps)) if steps else None,
        disk_bytes=disk_bytes(recipe, steps),
    )


def total_steps(recipe: Recipe, rows: int | None) -> int | None:
    """Optimiser steps, as transformers counts them: the last, smaller batch of an epoch is a step too."""
    if recipe.training.max_steps:
        return recipe.training.max_steps
    return max(1, math.ceil(steps_of_epoch(recipe, rows) * recipe.training.epochs)) if rows else None


def steps_of_epoch(recipe: Recipe, rows: int) -> int:
    return math.ceil(batches_of_epoch(recipe, rows) / recipe.training.accumulation)


def batches_of_epoch(recipe: Recipe, rows: int) -> int:
    """Those of one process."""
    return math.ceil(rows / (recipe.training.batch * recipe.launcher.processes))


def batches_of_step(recipe: Recipe, rows: int | None) -> float:
    """On the average of a run: the last step of an epoch may have fewer than are asked for, and be its only one."""
    steps, asked = total_steps(recipe, rows), recipe.training.accumulation
    if not steps or not rows:
        return asked
    epochs, more = divmod(steps, steps_of_epoch(recipe, rows))
    return (epochs * batches_of_epoch(recipe, rows) + more * asked) / steps


def eval_every(recipe: Recipe, steps: int) -> int:
    """Steps between two held-out losses: as asked, else ten times a run."""
    return recipe.training.eval_every or max(1, round(steps / 10))


def checkpoint_bytes(recipe: Recipe, trainable: int | None = None) -> int:
    """One checkpoint on disk, with the optimiser's state; guessed for a model of unknown shape."""
    weights = trainable or trainable_parameters(recipe) or _whole_weights(recipe)
    # PiSSA saves what the adapter is and what it began as; its optimiser has two moments of the first only.
    copies = 2 if METHODS[recipe.lora.method].begins == "pissa" or _keeps_reference(recipe) else 1
    return weights * (4 * copies + STATE_BYTES.get(recipe.training.optimizer, 8)) + CHECKPOINT_EXTRA_BYTES


def _keeps_reference(recipe: Recipe) -> bool:
    """Whether each checkpoint has the first weights too: those of an earlier run, which may be gone on another machine."""
    return recipe.objective.reference and bool(recipe.model.start_from)


def _whole_weights(recipe: Recipe) -> int:
    """Weights of the whole model, where that is what is trained; of an adapter whose shape is not known, ten million."""
    if not METHODS[recipe.lora.method].whole:
        return 10_000_000
    shape = trained_shape(recipe.model)
    return shape.parameters if shape else (model_bytes(recipe.model.source) or 1_000_000_000) // 2


def disk_bytes(recipe: Recipe, steps: int | None = None) -> int:
    """Disk that a run of so many steps will take; a whole model is written once more at the end, in 16 bits.

    So is one that layers are left out of, before it is trained; other runs use the same.
    """
    final = 2 * _whole_weights(recipe) if METHODS[recipe.lora.method].whole else 0
    checkpoints = checkpoint_bytes(recipe) * _most_checkpoints(recipe, steps or recipe.training.max_steps)
    return checkpoints + final + smaller_bytes(recipe)


def smaller_bytes(recipe: Recipe) -> int:
    """Of a model that layers are left out of, which is written beside the whole one; 0 where none are."""
    shape = trained_shape(recipe.model) if recipe.model.drop_layers else None
    return shape.weights_bytes() if shape else 0


def _most_checkpoints(recipe: Recipe, steps: int | None) -> int:
    """Those that are there at once: the newest, the best, and the next for a moment; never more than are made at all.

    One that is deleted while it goes up to the Hub stays until it is there.
    """
    asked = recipe.checkpoints
    most = asked.keep + 2 + (1 if asked.hub_backup else 0)
    if steps is None:
        return most
    at_any_step = asked.every_minutes or recipe.training.load_best
    return min(most, steps if at_any_step else math.ceil(steps / (asked.every_steps or steps)))


def model_bytes(source: str, bits: int = 16) -> int | None:
    """Size of a model's weights: from its shape, else from a local folder's files; None if neither is known."""
    if shape := shape_of(source):
        return shape.weights_bytes(bits)
    if place_of(source) is Place.LOCAL and local_path(source).is_dir():
        return sum(file.stat().st_size for file in local_path(source).glob("*.safetensors"))
    return None


def context_length(source: str) -> int | None:
    """The longest sequence a model takes, where it is known without the network."""
    if shape := shape_of(source):
        return shape.context
    config = (read_json(file) if (file := config_file(source)) else None) or {}
    longest = config.get("max_position_embeddings")
    return longest if isinstance(longest, int) else None
