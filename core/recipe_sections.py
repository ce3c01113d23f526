"""The sections of the recipe: defaults, limits and help stand on these fields and nowhere else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from core.training.methods import METHODS
from core.training.trackers import TRACKERS

Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]+$")
]
# Names of modules and parts of them; PEFT reads a name as a pattern, so nothing that means more than itself but the dot.
ModuleName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_.]+$")]


def _on_off(given: Any) -> Any:
    """YAML reads the words on and off as true and false; recipes from before packing had a third word say them too."""
    return {True: "on", False: "off"}[given] if isinstance(given, bool) else given


AutoOnOff = Annotated[Literal["auto", "on", "off"], BeforeValidator(_on_off)]


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
        description="Size of a step, mostly 5e-5 to 1e-3, for full fine-tuning 5e-6 to 5e-5. Lower it if the loss jumps, raise "
        "it if it hardly moves. A run whose loss leaves for good is stopped.",
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
        description="Computes activations again instead of keeping them: less memory, slower. `auto`: on for GPUs.",
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


class CheckpointSection(Section):
    """What is kept while it learns. One is always saved at a stop and at the end."""

    every_steps: int | None = Field(
        100,
        ge=1,
        title="Checkpoint every",
        description="Steps between two checkpoints. Lower it to lose less at a crash, raise it to save time. "
        "Empty: minutes decide.",
    )
    every_minutes: float | None = Field(
        10,
        gt=0,
        le=10_000,
        title="Or every (minutes)",
        description="Minutes between two checkpoints, beside the steps. Lower it where a session may end at any moment, "
        "raise it to save time. Empty: steps decide.",
    )
    keep: int = Field(
        3,
        ge=1,
        le=1000,
        title="Keep",
        description="The newest checkpoints kept on disk, and the best by held-out loss; older ones are deleted. "
        "Raise it to go back further, lower it to save disk.",
    )


class LauncherSection(Section):
    """In how many processes it runs."""

    processes: int = Field(
        1,
        ge=1,
        le=64,
        title="Processes",
        description="More than one trains with torchrun. Raise it to the number of your GPUs, and lower the accumulation with "
        "it: batch x accumulation x processes make one step.",
    )
