"""What makes a training fast on a device, each choice with its reason: made here, said in `resolved.yaml`. No torch.

What only a loaded model can tell (`documents.use_in`, `cpu_loss.applies_to`, `short_lora.use_in`, `gated.use_in`) takes a
choice back with `without`.
"""

from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Literal

from core.recipe import Recipe
from core.training.methods import METHODS

# Positions with a label whose logits stand in memory together on a CPU: enough for a fast product, 100 MB at 50,000 words.
LABELS_AT_ONCE = 512
# The first generation of GPUs that FlashAttention 2 and TF32 run on (Ampere).
AMPERE = (8, 0)


@dataclass(frozen=True)
class Choice:
    """One choice, and why, in a sentence."""

    name: str
    reason: str


@dataclass(frozen=True)
class Place:
    """What the choices depend on beside the recipe."""

    kind: Literal["cuda", "mps", "cpu"]
    capability: tuple[int, int] | None = None
    cpu_bf16: bool = False
    processes: int = 1


@dataclass(frozen=True)
class Speed:
    """All choices of one training."""

    products: Choice
    rows: Choice
    attention: Choice
    loss: Choice
    adapter: Choice
    kept: Choice
    kernels: Choice
    optimizer: Choice

    @property
    def side_by_side(self) -> bool:
        """Whether the conversations of a batch lie in one row, so that none is padded."""
        return self.rows.name == "side by side"

    @property
    def at_labels(self) -> bool:
        return self.loss.name == "at labels"

    @property
    def short_adapter(self) -> bool:
        return self.adapter.name == "one step in 16 bits"

    @property
    def keeps_short(self) -> bool:
        return self.kept.name == "in bf16"

    def without(self, part: Literal["rows", "loss", "adapter", "kept"], reason: str) -> "Speed":
        """The same with the dependable way instead of the fast one."""
        if part == "kept":
            return replace(self, kept=Choice("as computed", reason))
        if part == "adapter":
            return replace(self, adapter=Choice("peft", reason))
        if part == "loss":
            return replace(self, loss=Choice("at every position", reason))
        return replace(self, rows=Choice("padded", reason), attention=Choice("sdpa", reason))

    def as_dict(self) -> dict[str, dict[str, str]]:
        return {part: {"choice": found["name"], "reason": found["reason"]} for part, found in asdict(self).items()}


def choose(recipe: Recipe, place: Place) -> Speed:
    """The fastest that is safe on a device, as far as it is known before the model is there."""
    attention = _attention(recipe, place)
    return Speed(
        products=products(place, recipe.training.precision),
        rows=_rows(attention),
        attention=attention,
        loss=_loss(recipe, place),
        adapter=_adapter(recipe, place),
        kept=_kept(recipe, place),
        kernels=_kernels(place),
        optimizer=_optimizer(recipe),
    )


def products(place: Place, precision: str) -> Choice:
    """How fp32 matrix products are computed, where the recipe leaves it open."""
    if precision == "fp32":
        return Choice("fp32", "The recipe asks for it.")
    if place.kind == "cpu":
        if place.cpu_bf16:
            return Choice("bf16", "The CPU has bf16 instructions, two to four times as fast; sums stay fp32.")
        return Choice("fp32", "The CPU has no bf16 instructions.")
    if place.kind == "cuda" and (place.capability or (0, 0)) >= AMPERE:
        return Choice("tf32", "The GPU has TF32.")
    return Choice("fp32", "The device has no shorter products for fp32.")


def _attention(recipe: Recipe, place: Place) -> Choice:
    if recipe.data.packing == "off":
        return Choice("sdpa", "PyTorch's own: with data.packing off, rows are padded.")
    if place.kind == "cpu":
        return Choice("by conversation", "On a CPU each conversation attends by itself, the same products and no mask.")
    able = place.kind == "cuda" and (place.capability or (0, 0)) >= AMPERE and recipe.training.precision != "fp32"
    if able and find_spec("flash_attn"):
        return Choice("flash_attention_2", "It is installed, and the GPU supports it.")
    if able:
        return Choice("by conversation", "Each conversation attends by itself, with the FlashAttention in PyTorch.")
    return Choice("sdpa", "PyTorch's own: FlashAttention is not for this device and precision.")


def _rows(attention: Choice) -> Choice:
    if attention.name == "sdpa":
        return Choice("padded", "data.packing is off, or the attention would compare conversations with each other.")
    return Choice("side by side", "Nothing is computed for padding; each conversation attends to itself only.")


def _loss(recipe: Recipe, place: Place) -> Choice:
    if recipe.objective.pairs:
        return _loss_of_pairs(place)
    if place.kind != "cpu":
        return Choice("at every position", "TRL's, in chunks, with kernels of its own where the GPU has them.")
    if place.processes > 1:
        return Choice("at every position", "TRL's: several processes add up their gradients inside the model's call.")
    return Choice("at labels", "Logits only where there is something to learn, a few at a time, gradient included.")


def _loss_of_pairs(place: Place) -> Choice:
    if place.processes > 1:
        return Choice("at every position", "Several processes add up their gradients inside the model's call.")
    return Choice("at labels", "Logits only where there is something to learn, made again for the gradient.")


def _adapter(recipe: Recipe, place: Place) -> Choice:
    if METHODS[recipe.lora.method].begins == "pissa":
        return Choice("peft", "PEFT's own: what PiSSA leaves in the base must stay exactly what is saved.")
    if place.kind == "cuda" and recipe.training.precision != "fp32":
        return Choice("one step in 16 bits", "A frozen layer and its LoRA are one step, without a copy in 32 bits.")
    if place.kind == "cpu" and place.cpu_bf16 and recipe.training.precision == "auto":
        return Choice("one step in 16 bits", "A frozen layer and its LoRA are one step, in bf16, with a cheap dropout.")
    return Choice(
        "peft", "PEFT's own: the one step needs an NVIDIA GPU in 16 bits, or a CPU with bf16 and precision auto."
    )


def _kept(recipe: Recipe, place: Place) -> Choice:
    if place.kind == "cpu" and place.cpu_bf16 and recipe.training.precision == "auto":
        return Choice("in bf16", "A layer's gated part keeps half as much for its gradient, in half the bits.")
    return Choice("as computed", "PyTorch's own: keeping less needs a CPU that has bf16, and precision auto.")


def _kernels(place: Place) -> Choice:
    if place.kind == "cuda" and find_spec("liger_kernel"):
        return Choice("liger", "Liger kernels are installed.")
    return Choice(
        "torch", "Liger kernels are not installed." if place.kind == "cuda" else "Liger kernels are for GPUs."
    )


def _optimizer(recipe: Recipe) -> Choice:
    if recipe.training.optimizer == "auto":
        return Choice("adamw, fused", "One pass over all weights instead of one each.")
    return Choice(recipe.training.optimizer, "The recipe asks for it.")
