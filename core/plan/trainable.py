"""Which weights are trained: the modules that get an adapter, and how many numbers that makes. No torch."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from core.models.known_shape import trained_shape
from core.models.shape import Shape
from core.recipe import Recipe
from core.recipe_lora import LoraSection
from core.training.methods import METHODS

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
TARGETS = {"all-linear": ATTENTION + MLP, "attention": ATTENTION, "mlp": MLP}


@dataclass(frozen=True)
class Adapted:
    """A projection with an adapter of a rank beside it."""

    layer: int
    projection: str
    inputs: int
    outputs: int
    rank: int

    @property
    def weights(self) -> int:
        """Numbers in the two matrices (arXiv:2106.09685)."""
        return self.rank * (self.inputs + self.outputs)


def adapted(lora: LoraSection, shape: Shape) -> Iterator[Adapted]:
    """Every projection that gets an adapter, from the bottom to the top."""
    names = TARGETS[lora.targets] if isinstance(lora.targets, str) else lora.targets
    last = shape.layers - 1 if lora.last_layer is None else lora.last_layer
    for layer in range(lora.first_layer or 0, min(last, shape.layers - 1) + 1):
        for projection, (inputs, outputs) in shape.projections.items():
            module = f"model.layers.{layer}.{'self_attn' if projection in ATTENTION else 'mlp'}.{projection}"
            if any(is_or_ends(module, name) for name in names):
                yield Adapted(layer, projection, inputs, outputs, rank_of(lora, module))


def is_or_ends(module: str, name: str) -> bool:
    """Whether a module is meant by a name, as PEFT reads those of a list: the whole path, or its last parts."""
    return module == name or module.endswith(f".{name}")


def trainable_parameters(recipe: Recipe) -> int | None:
    """The weights of the adapter, or of the model where it is trained as a whole; None for a model of unknown shape."""
    shape = trained_shape(recipe.model)
    return trainable_of(recipe.lora, shape) if shape else None


def trainable_of(lora: LoraSection, shape: Shape) -> int:
    """The same for a shape. DoRA has a magnitude for every output as well (arXiv:2402.09353), and so has a bias."""
    method = METHODS[lora.method]
    if method.whole:
        return shape.parameters
    each_output = method.config.get("use_dora", False) or lora.bias
    return sum(module.weights + (module.outputs if each_output else 0) for module in adapted(lora, shape))


def rank_of(lora: LoraSection, module: str) -> int:
    """A module's rank: its own where a pattern matches its name, as PEFT matches them (`peft.utils.get_pattern_key`)."""
    own = (rank for name, rank in lora.rank_pattern.items() if re.match(rf"(.*\.)?({name})$", module))
    return next(own, lora.rank)
