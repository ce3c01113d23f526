"""The recipe's training section: how the model is taught. Defaults, limits and help stand on its fields."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.recipe_sections import AutoOnOff, Section
from core.training.objectives import OBJECTIVES
from core.training.trackers import TRACKERS


class TrainingSection(Section):
    """How it is taught."""

    objective: Literal[*OBJECTIVES] = Field(
        "sft",
        title="Learns",
        description="`sft` learns to say the answers. `dpo` and `orpo` learn from pairs, of which one answer was chosen and one "
        "rejected: data of the layout `preference`, and what was judged in Chat.",
    )
    beta: float = Field(
        0.1,
        gt=0,
        le=10,
        title="Beta",
        description="For pairs. With `dpo`, how strongly it is held to what it was before; with `orpo`, how much the rejected "
        "answers count. With `dpo` raise it if answers get worse or longer, lower it if little changes; with `orpo` the other "
        "way round.",
    )
    epochs: float = Field(
        1,
        gt=0,
        le=1000,
        title="Epochs",
        description="How often every row is seen. Raise it for little data, lower it if the held-out loss rises.",
    )
    max_steps: int | None = Field(
        None,
        ge=1,
        title="Max steps",
        description="Stop after this many steps. Lower it for a quick look; raise it, or leave it empty, to see all rows. "
        "Empty: epochs decide.",
    )
    learning_rate: float = Field(
        2e-4,
        gt=0,
        le=10,
        title="Learning rate",
        description="Size of a step, mostly 5e-5 to 1e-3, with `dpo` 5e-6 to 5e-5, with `orpo` to 1e-4; for full fine-tuning a "
        "tenth. Lower it if the loss jumps, raise it if it hardly moves. A run whose loss leaves for good is stopped.",
    )
    schedule: Literal[
        "cosine", "linear", "constant", "cosine_with_min_lr", "warmup_stable_decay", "polynomial", "inverse_sqrt"
    ] = Field(
        "cosine",
        title="Schedule",
        description="How the learning rate falls after the warm-up. `cosine` is a safe choice; `warmup_stable_decay` stays "
        "high and falls at the end; `constant` and `inverse_sqrt` suit runs whose end is open.",
    )
    min_rate: float = Field(
        0.1,
        ge=0,
        le=1,
        title="Lowest rate",
        description="Share of the learning rate at which `cosine_with_min_lr` ends; no other schedule has it. Raise it if "
        "the loss still falls at the end, lower it if it is unsteady there.",
    )
    decay: float = Field(
        0.2,
        ge=0,
        le=1,
        title="Decay",
        description="Share of the steps, at the end, in which `warmup_stable_decay` falls; no other schedule has it. Raise "
        "it for a calmer end, lower it to learn longer at the full rate.",
    )
    warmup: float = Field(
        0.03,
        ge=0,
        lt=1,
        title="Warm-up",
        description="Share of the steps in which the learning rate rises. Raise it if the first steps are "
        "unstable, lower it in very short runs.",
    )
    batch: int = Field(
        4,
        ge=1,
        le=1024,
        title="Batch",
        description="Conversations in memory at once. When memory runs out, lower it and raise the accumulation.",
    )
    accumulation: int = Field(
        4,
        ge=1,
        le=1024,
        title="Accumulate",
        description="Batches added up before a step: batch x accumulation conversations. Raise it if the loss is noisy, lower "
        "it for more steps on little data.",
    )
    weight_decay: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Weight decay",
        description="Pulls what is trained towards zero. Raise it a little against overfitting, lower it if both losses stay "
        "high.",
    )
    max_grad_norm: float = Field(
        1.0,
        gt=0,
        le=1000,
        title="Gradient clipping",
        description="Longer gradients are cut to this length. Lower it if the loss jumps, raise it if nearly every step is cut.",
    )
    optimizer: Literal["auto", "adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd"] = Field(
        "auto",
        title="Optimizer",
        description="`auto` is AdamW, fused; `adamw` the plain one. `adamw_8bit` keeps its state in a quarter of the memory, "
        "`paged_adamw_8bit` moves it out of a full GPU as well. `adafactor` keeps hardly any. `sgd` keeps none, and needs "
        "a learning rate ten to a hundred times higher.",
    )
    neftune: float | None = Field(
        None,
        gt=0,
        le=100,
        title="NEFTune noise",
        description="Noise on the embeddings while training (arXiv:2310.05914), often 5. Raise it if a small data set is "
        "learned by heart, lower it if the loss stays high. Empty: none.",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        le=0.5,
        title="Label smoothing",
        description="Share of each answer's certainty spread over all tokens (arXiv:1512.00567), often 0.1. Raise it if the "
        "data has mistakes or the model grows too sure, lower it if answers get vague. The training loss then has a floor; "
        "the held-out loss is measured without it.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        title="Precision",
        description="`auto` takes what the device does well: bf16 on newer GPUs, fp16 on a T4, fp32 on a CPU, multiplied in bf16 "
        "where it has instructions for that. `fp32` multiplies in full as well: slower, for comparisons.",
    )
    activation_checkpointing: AutoOnOff = Field(
        "auto",
        title="Activation checkpointing",
        description="Computes activations again instead of keeping them: less memory, slower. `auto`: on where a GPU has no room to keep them.",
    )
    seed: int = Field(
        7, ge=0, le=2**31 - 1, title="Seed", description="The same seed, recipe and machine give the same run."
    )
    trackers: list[Literal[*TRACKERS]] = Field(
        default_factory=list,
        title="Report to",
        description="`tensorboard`, `wandb` (Weights & Biases), `trackio`: where else losses are shown, beside the studio. Each is "
        "installed by you. Weights & Biases sends what it gets to its server; the others stay on this machine.",
    )
    log_every: int = Field(
        1,
        ge=1,
        title="Report every",
        description="Steps between two reports of loss and speed. Raise it for a calm curve, lower it to see every step.",
    )
    eval_every: int | None = Field(
        None,
        ge=1,
        title="Held-out loss every",
        description="Steps between two measurements on held-out rows. Lower it to see overfitting sooner, raise it to save "
        "time. Empty: ten times a run.",
    )
    early_stopping: int | None = Field(
        None,
        ge=1,
        le=1000,
        title="Stop early after",
        description="Measurements of the held-out loss without a new best after which the run ends. Raise it if the loss "
        "is noisy, lower it to save time. Empty: never.",
    )
    load_best: bool = Field(
        False,
        title="Keep the best",
        description="The result is the adapter of the lowest held-out loss instead of the last step's; each new best is "
        "saved. Turn it on for many epochs, where the end may be overfitted.",
    )
