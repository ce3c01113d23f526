"""The plan: what a recipe will take, by arithmetic on the model's shape. No torch, no weights, no network."""

import json
import math
import re
from dataclasses import dataclass

from core import catalog
from core.hardware import Machine
from core.recipe import Recipe
from core.recipe_sections import LoraSection
from core.training.methods import METHODS
from core.where import Place, local_path, place_of

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
TARGETS = {"all-linear": ATTENTION + MLP, "attention": ATTENTION, "mlp": MLP}
# A checkpoint holds the adapter (fp32), AdamW's two moments (fp32), and about this much of state and tokenizer.
CHECKPOINT_EXTRA_BYTES = 8_000_000
# What a training takes beside the weights at a small batch; measured plans come with the memory plan.
WORKING_BYTES = 1_500_000_000


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
    model = catalog.model(recipe.model.source)
    steps = total_steps(recipe, rows)
    epochs = steps * recipe.effective_batch() / rows if steps and rows else None
    return Plan(
        rows=rows,
        steps=steps,
        tokens=round(tokens * epochs) if tokens and epochs else None,
        trainable=trainable_parameters(recipe),
        model_parameters=model.parameters if model else None,
        checkpoints=math.ceil(steps / (recipe.checkpoints.every_steps or steps)) if steps else None,
        disk_bytes=disk_bytes(recipe),
    )


def total_steps(recipe: Recipe, rows: int | None) -> int | None:
    """Optimiser steps, as transformers counts them: the last, smaller batch of an epoch is a step too."""
    if recipe.training.max_steps:
        return recipe.training.max_steps
    if not rows:
        return None
    per_process = math.ceil(rows / (recipe.training.batch * recipe.launcher.processes))
    per_epoch = math.ceil(per_process / recipe.training.accumulation)
    return max(1, math.ceil(per_epoch * recipe.training.epochs))


def eval_every(recipe: Recipe, steps: int) -> int:
    """Steps between two held-out losses: as asked, else ten times a run."""
    return recipe.training.eval_every or max(1, round(steps / 10))


def trainable_parameters(recipe: Recipe) -> int | None:
    """LoRA weights: rank * (inputs + outputs) per target (arXiv:2106.09685), or all; None for a model of unknown shape."""
    model, lora = catalog.model(recipe.model.source), recipe.lora
    if model is None:
        return None
    if METHODS[lora.method].whole:
        return model.parameters
    names = TARGETS[lora.targets] if isinstance(lora.targets, str) else lora.targets
    magnitudes = METHODS[lora.method].config.get("use_dora", False)
    last = model.layers - 1 if lora.last_layer is None else lora.last_layer
    total = 0
    for layer in range(lora.first_layer or 0, min(last, model.layers - 1) + 1):
        for projection, (inputs, outputs) in model.projections.items():
            module = f"model.layers.{layer}.{'self_attn' if projection in ATTENTION else 'mlp'}.{projection}"
            if any(module.endswith(f".{name}") for name in names):
                total += rank_of(lora, module) * (inputs + outputs) + (outputs if magnitudes or lora.bias else 0)
    return total


def rank_of(lora: LoraSection, module: str) -> int:
    """A module's rank: its own where a pattern matches its name, as PEFT matches them (`peft.utils.get_pattern_key`)."""
    own = (rank for name, rank in lora.rank_pattern.items() if re.match(rf"(.*\.)?({name})$", module))
    return next(own, lora.rank)


def checkpoint_bytes(recipe: Recipe, trainable: int | None = None) -> int:
    """One checkpoint on disk, with AdamW's two moments; guessed for a model of unknown shape."""
    weights = trainable or trainable_parameters(recipe) or _whole_weights(recipe)
    # PiSSA saves what the adapter is and what it began as; its optimiser has two moments of the first only.
    copies = 2 if METHODS[recipe.lora.method].begins == "pissa" else 1
    return weights * (4 * copies + 8) + CHECKPOINT_EXTRA_BYTES


def _whole_weights(recipe: Recipe) -> int:
    """Weights of the whole model, where that is what is trained; of an adapter whose shape is not known, ten million."""
    if not METHODS[recipe.lora.method].whole:
        return 10_000_000
    return (model_bytes(recipe.model.source) or 1_000_000_000) // 2


def disk_bytes(recipe: Recipe) -> int:
    """Disk that a run will take: the newest checkpoints, the best one, and the next, which is there for a moment.

    A model that was trained as a whole is written once more at the end, in 16 bits.
    """
    final = 2 * _whole_weights(recipe) if METHODS[recipe.lora.method].whole else 0
    return checkpoint_bytes(recipe) * (recipe.checkpoints.keep + 2) + final


def model_bytes(source: str, bits: int = 16) -> int | None:
    """Size of a model's weights: from the catalog, else from a local folder's files; None if neither knows."""
    if known := catalog.model(source):
        return known.weights_bytes(bits)
    if place_of(source) is Place.LOCAL and local_path(source).is_dir():
        return sum(file.stat().st_size for file in local_path(source).glob("*.safetensors"))
    return None


def fit(source: str, machine: Machine) -> str | None:
    """`fits`, `tight` or `too big` for a small batch on this machine's device; None for a model of unknown size."""
    bits = 32 if machine.precision.name == "fp32" else 16
    size = model_bytes(source, bits)
    if size is None:
        return None
    needed = size * 1.15 + WORKING_BYTES
    if needed <= machine.memory_bytes * 0.75:
        return "fits"
    return "tight" if needed <= machine.memory_bytes * 0.95 else "too big"


def context_length(source: str) -> int | None:
    """The longest sequence a model takes, where it is known without the network."""
    if known := catalog.model(source):
        return known.context
    config = local_path(source) / "config.json"
    if place_of(source) is not Place.LOCAL or not config.exists():
        return None
    return json.loads(config.read_text(encoding="utf-8")).get("max_position_embeddings")
