"""A recipe on a device with a model of known shape: what memory and time are computed from. No torch."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from core.hardware import Device, Machine
from core.models.known_shape import trained_shape
from core.models.shape import Shape
from core.plan.trainable import Adapted, adapted, trainable_of
from core.recipe import Recipe
from core.training.methods import METHODS, Method
from core.training.speed import Place, Speed, choose

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Setting:
    """Everything but the rows."""

    recipe: Recipe
    shape: Shape
    device: Device
    precision: Precision
    capability: tuple[int, int] | None = None
    cpu_bf16: bool = False
    imitated: bool = False  # the CPU has no instructions for the precision

    @property
    def method(self) -> Method:
        return METHODS[self.recipe.lora.method]

    @property
    def recomputes(self) -> bool:
        """Whether activations are computed again instead of kept; `settled` has put "on" or "off" for `auto`."""
        return self.recipe.training.activation_checkpointing == "on"

    @property
    def mixed(self) -> bool:
        """Whether layers compute in 16 bits."""
        return self.precision != "fp32"

    @cached_property
    def speed(self) -> Speed:
        """How batches are laid out, attended to and scored, as the trainer will choose it."""
        return choose(self.recipe, Place(self.device, self.capability, self.cpu_bf16, self.recipe.launcher.processes))

    @property
    def padded(self) -> bool:
        """Whether the rows of a batch are filled up to the longest."""
        return not (self.recipe.data.packs or self.speed.side_by_side)

    @property
    def by_own_products(self) -> bool:
        """Whether attention is made of the studio's own products (`documents`), which keep less than PyTorch's."""
        return self.speed.attention.name == "by conversation" and self.device != "cuda"

    @property
    def in_one_step(self) -> bool:
        """Whether a frozen layer and its LoRA are computed together (`short_lora`), which plain layers and LoRA can be."""
        plain = self.method.bits == 16 and not self.method.whole and not self.method.config.get("use_dora")
        return self.speed.short_adapter and plain

    @property
    def short_between(self) -> bool:
        """Whether what goes from layer to layer has 16 bits: not with embeddings and norms in 32, where all learns or is quantised."""
        return self.mixed and self.method.bits == 16 and not self.method.whole

    @property
    def fused(self) -> bool:
        """Whether Liger's kernels compute norms, gated parts and loss, and keep less for the backward pass."""
        return self.speed.kernels.name == "liger"

    @property
    def keeps_short(self) -> bool:
        """Whether the gated parts keep what they need in 16 bits (`gated`), which those that are not quantised can."""
        return self.speed.keeps_short and self.method.bits == 16

    @cached_property
    def adapted(self) -> tuple[Adapted, ...]:
        """The modules with an adapter; none where the whole model is trained."""
        return () if self.method.whole else tuple(adapted(self.recipe.lora, self.shape))

    @cached_property
    def trainable(self) -> int:
        return trainable_of(self.recipe.lora, self.shape)

    @property
    def layers_in_backward(self) -> int:
        """The layers that gradients go through: all above the first one that is trained; all that recompute."""
        lowest = 0 if self.method.whole or self.recomputes else min((m.layer for m in self.adapted), default=0)
        return self.shape.layers - lowest


def as_asked(recipe: Recipe, machine: Machine) -> Setting | None:
    """The recipe on this machine, to the letter; None for a model of unknown shape."""
    shape = trained_shape(recipe.model)
    if shape is None:
        return None
    asked = recipe.training.precision
    precision = machine.precision.name if asked == "auto" else asked
    capability = machine.gpus[0].capability if machine.gpus else None
    return Setting(recipe, shape, machine.device, precision, capability, machine.cpu_bf16, machine.imitates(precision))
