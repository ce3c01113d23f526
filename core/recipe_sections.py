"""The sections of the recipe: defaults, limits and help stand on these fields and nowhere else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]+$")
]


class Section(BaseModel):
    """A part of the recipe: unknown keys are refused, values never change in place."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSection(Section):
    """Which model is taught."""

    source: Line = Field("starter", title="Model", description="A Hub id, a folder on this machine, or `starter`.")
    revision: Line | None = Field(
        None,
        title="Revision",
        description="A branch, tag or commit on the Hub. Empty: the newest, pinned at the start.",
    )
    chat_template: str | None = Field(
        None,
        title="Chat template",
        description="How turns are written. A base model has none of its own: choose `plain` or `alpaca`, which need no "
        "new tokens, or give Jinja text. Empty: the model's own.",
    )
    start_from: Line | None = Field(
        None,
        title="Start from",
        description="An adapter to go on from instead of a fresh one: a run's id, `id@step` for one of its checkpoints, or "
        "a folder. Optimiser and schedule begin anew.",
    )


class LoraSection(Section):
    """How the adapter is built."""

    method: Literal["lora", "qlora", "rslora", "dora"] = Field(
        "lora",
        title="Method",
        description="`lora` is the standard. `qlora` holds the base model in 4 bits: a quarter of the memory, slower. "
        "`rslora` scales better at ranks over 32. `dora` learns a little more per parameter, and is slower.",
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
        description="How strongly the adapter acts; twice the rank is usual. Lower it if the loss jumps.",
    )
    dropout: float = Field(
        0.05,
        ge=0,
        lt=1,
        title="Dropout",
        description="Share of the adapter's inputs switched off while training. Raise it if the held-out loss rises "
        "while the training loss falls; 0 is fastest.",
    )
    targets: Literal["all-linear", "attention", "mlp"] = Field(
        "all-linear",
        title="Targets",
        description="Which layers get an adapter. All linear layers learn best; fewer use less memory.",
    )


class TrainingSection(Section):
    """How it is taught."""

    epochs: float = Field(
        1,
        gt=0,
        le=1000,
        title="Epochs",
        description="How often every row is seen. Raise it for little data, lower it if the held-out loss rises.",
    )
    max_steps: int | None = Field(
        None, ge=1, title="Max steps", description="Stop after this many steps. Empty: epochs decide."
    )
    learning_rate: float = Field(
        2e-4,
        gt=0,
        le=0.1,
        title="Learning rate",
        description="Size of a step, mostly 5e-5 to 1e-3. Lower it if the loss jumps, raise it if it hardly moves.",
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine",
        title="Schedule",
        description="How the learning rate falls after the warm-up. `cosine` is a safe choice.",
    )
    warmup: float = Field(
        0.03,
        ge=0,
        lt=1,
        title="Warm-up",
        description="Share of the steps in which the learning rate rises. Raise it if the first steps are unstable.",
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
        description="Batches added up before a step. Batch x accumulation conversations make one step.",
    )
    weight_decay: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Weight decay",
        description="Pulls the adapter towards zero. Raise it a little against overfitting.",
    )
    max_grad_norm: float = Field(
        1.0,
        gt=0,
        le=1000,
        title="Gradient clipping",
        description="Longer gradients are cut to this length. Lower it if the loss jumps.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        title="Precision",
        description="`auto` takes what the device does well: bf16 on newer GPUs, fp16 on a T4, fp32 on a CPU.",
    )
    activation_checkpointing: Literal["auto", "on", "off"] = Field(
        "auto",
        title="Activation checkpointing",
        description="Computes activations again instead of keeping them: less memory, slower. `auto`: on for GPUs.",
    )
    seed: int = Field(
        7, ge=0, le=2**31 - 1, title="Seed", description="The same seed, recipe and machine give the same run."
    )
    log_every: int = Field(1, ge=1, title="Report every", description="Steps between two reports of loss and speed.")
    eval_every: int | None = Field(
        None,
        ge=1,
        title="Held-out loss every",
        description="Steps between two measurements on held-out rows. Empty: ten times a run.",
    )


class CheckpointSection(Section):
    """What is kept while it learns. One is always saved at a stop and at the end."""

    every_steps: int | None = Field(
        100,
        ge=1,
        title="Checkpoint every",
        description="Steps between two checkpoints. At a crash you lose at most these. Empty: minutes decide.",
    )
    every_minutes: float | None = Field(
        10,
        gt=0,
        le=10_000,
        title="Or every (minutes)",
        description="Minutes between two checkpoints, beside the steps: a session may end at any moment. Empty: steps decide.",
    )
    keep: int = Field(
        3,
        ge=1,
        le=1000,
        title="Keep",
        description="The newest checkpoints kept on disk, and the best by held-out loss; older ones are deleted.",
    )


class LauncherSection(Section):
    """In how many processes it runs."""

    processes: int = Field(
        1,
        ge=1,
        le=64,
        title="Processes",
        description="More than one trains with torchrun, a GPU each. Batch x accumulation x processes make one step.",
    )
