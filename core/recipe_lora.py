"""The recipe's LoRA section: how the adapter is built. Defaults, limits and help stand on its fields."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.recipe_sections import ModuleName, Section
from core.training.methods import METHODS


class LoraSection(Section):
    """How the adapter is built."""

    method: Literal[*METHODS] = Field(
        "lora",
        title="Method",
        description="`lora` is the standard. `qlora` holds the base model in 4 bits, `qlora8` in 8: a quarter or half of the "
        "memory, slower. `rslora` scales better at ranks over 32. `dora` learns a little more per parameter, and is slower. `lora+` learns "
        "in fewer steps. `pissa` and `eva` begin with better weights, from the model or from the data. `full` trains the "
        "model itself, without an adapter.",
    )
    rank: int = Field(
        16,
        ge=1,
        le=512,
        title="Rank",
        description="How much the adapter can learn. Raise it for new skills and much data, lower it for a manner of "
        "answering, little memory or overfitting.",
    )
    alpha: int = Field(
        32,
        ge=1,
        le=2048,
        title="Alpha",
        description="How strongly the adapter acts; twice the rank is usual. Raise it if the loss hardly moves, lower it if "
        "the loss jumps.",
    )
    dropout: float = Field(
        0.05,
        ge=0,
        lt=1,
        title="Dropout",
        description="Share of the adapter's inputs switched off while training. Raise it if the held-out loss rises "
        "while the training loss falls, lower it if both stay high; 0 is fastest.",
    )
    targets: Literal["all-linear", "attention", "mlp"] | list[ModuleName] = Field(
        "all-linear",
        title="Targets",
        description="Which layers get an adapter. All linear layers learn best; fewer use less memory. Or a list of the "
        "model's own names, such as `[q_proj, v_proj]`.",
    )
    first_layer: int | None = Field(
        None,
        ge=0,
        title="First layer",
        description="The first layer that gets an adapter, counted from 0. Raise it to leave the early layers as they are, "
        "which saves memory and forgets less; lower it where more is to be learned. Empty: from the bottom.",
    )
    last_layer: int | None = Field(
        None,
        ge=0,
        title="Last layer",
        description="The last layer that gets an adapter, itself included. Lower it to leave the late layers, which choose the "
        "words, as they are; raise it where more is to be learned. Empty: to the top.",
    )
    rank_pattern: dict[ModuleName, Annotated[int, Field(ge=1, le=512)]] = Field(
        default_factory=dict,
        title="Other ranks",
        description="Modules with a rank of their own, such as `{down_proj: 32}`. Raise it where most is to be learned, "
        "lower it to save memory.",
    )
    alpha_pattern: dict[ModuleName, Annotated[int, Field(ge=1, le=2048)]] = Field(
        default_factory=dict,
        title="Other alphas",
        description="Modules with an alpha of their own, such as `{down_proj: 64}`. Raise and lower it together with "
        "the rank.",
    )
    bias: bool = Field(
        False,
        title="Bias",
        description="A trained bias in each adapter. Turn it on where every answer has to shift the same way; it cannot be "
        "merged into layers that have no bias of their own. Leave it off otherwise.",
    )
    template_tokens: bool = Field(
        False,
        title="Train the template's tokens",
        description="The tokens with which the chat template marks turns learn as well. Turn it on for a base model that has "
        "never seen them: it would not learn when to end. Leave it off for Instruct models, which know theirs.",
    )
    plus_ratio: float = Field(
        16,
        ge=1,
        le=256,
        title="LoRA+ ratio",
        description="How many times faster the second matrix learns; only `lora+` has it. Raise it if the loss falls "
        "slowly, lower it if it jumps.",
    )

    def partial(self) -> list[str]:
        """The settings that choose a part of the model, where they are not the default."""
        usual = LoraSection()
        names = ("targets", "first_layer", "last_layer", "rank_pattern", "alpha_pattern", "bias", "template_tokens")
        return [name for name in names if getattr(self, name) != getattr(usual, name)]
