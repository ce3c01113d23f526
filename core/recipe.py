"""The recipe describes a run completely. Defaults, limits and help stand on its fields and nowhere else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from core.errors import RecipeError
from core.recipe_problems import sentence

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$"

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
        description="A Jinja template used instead of the tokenizer's own; needed for base models that have none.",
    )


class Source(Section):
    """One data set that is learned from."""

    source: Line = Field("starter", title="Data", description="A Hub id, a JSONL file on this machine, or `starter`.")
    config: Line | None = Field(
        None, title="Configuration", description="The Hub data set's configuration, if it has several."
    )
    split: Line = Field(
        "train", title="Split", description="Which split of a Hub data set, or of the starter, is read."
    )
    revision: Line | None = Field(
        None, title="Revision", description="A commit on the Hub. Empty: the newest, pinned at the start."
    )
    layout: Literal["auto", "messages", "conversations", "alpaca"] = Field(
        "auto", title="Layout", description="How a row holds a conversation. `auto` recognises it from the columns."
    )
    columns: dict[Line, Line] = Field(
        default_factory=dict,
        title="Columns",
        description="Which of your columns is which: `{instruction: question, output: answer}`.",
    )
    limit: int | None = Field(None, ge=1, title="Row limit", description="Read at most this many rows. Empty: all.")


class DataSection(Section):
    """What it is taught."""

    sources: list[Source] = Field(
        default_factory=lambda: [Source()],
        min_length=1,
        title="Sources",
        description="The data sets, one after the other.",
    )
    eval_fraction: float = Field(
        0.05,
        ge=0,
        le=0.5,
        title="Held out",
        description="Share of the rows kept aside to measure the loss on rows the model never trains on. Raise it for "
        "small data, lower it for large; 0 measures nothing.",
    )
    max_length: int = Field(
        1024,
        ge=16,
        le=131_072,
        title="Max tokens",
        description="Longer conversations are cut here. Raise it if answers are cut, lower it to save memory.",
    )
    train_on: Literal["assistant", "all"] = Field(
        "assistant",
        title="Train on",
        description="`assistant` learns the answers only, which is nearly always right; `all` learns every token.",
    )


class LoraSection(Section):
    """How the adapter is built."""

    method: Literal["lora", "rslora", "dora"] = Field(
        "lora",
        title="Method",
        description="`lora` is the standard. `rslora` scales better at ranks over 32. `dora` learns a little more per "
        "parameter, and is slower.",
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

    def effective_batch(self) -> int:
        """Conversations per step on one device."""
        return self.batch * self.accumulation


class CheckpointSection(Section):
    """What is kept while it learns."""

    every_steps: int = Field(
        100,
        ge=1,
        title="Checkpoint every",
        description="Steps between two checkpoints. At a crash you lose at most these.",
    )
    keep: int = Field(
        3, ge=1, le=1000, title="Keep", description="The newest checkpoints kept on disk; older ones are deleted."
    )


class Recipe(Section):
    """Everything about a run."""

    name: str = Field(
        "my-run",
        title="Run name",
        description="Letters, digits, spaces, dots, dashes; up to 60 characters.",
        pattern=NAME_PATTERN,
    )
    model: ModelSection = Field(default_factory=ModelSection)
    data: DataSection = Field(default_factory=DataSection)
    lora: LoraSection = Field(default_factory=LoraSection)
    training: TrainingSection = Field(default_factory=TrainingSection)
    checkpoints: CheckpointSection = Field(default_factory=CheckpointSection)

    def contradictions(self) -> list[str]:
        """Settings that are fine alone and wrong together, a sentence each."""
        problems = []
        if self.training.eval_every and not self.data.eval_fraction:
            problems.append(
                f"training.eval_every: {self.training.eval_every} asks for a loss on held-out rows, but "
                "data.eval_fraction is 0; hold some rows out, or leave eval_every empty."
            )
        return problems


def parse(values: Any) -> Recipe:
    """A recipe from plain values; raises RecipeError with every problem and its key path."""
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise RecipeError([f"A recipe is a list of `key: value` lines, but this is {_kind(values)}."])
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError([sentence(problem, Recipe) for problem in error.errors()]) from None
    if problems := recipe.contradictions():
        raise RecipeError(problems)
    return recipe


def diff(a: Recipe, b: Recipe) -> dict[str, tuple[Any, Any]]:
    """Key path -> (value in a, value in b) for every field in which two recipes differ."""
    left, right = _flat(a.model_dump(mode="json")), _flat(b.model_dump(mode="json"))
    keys = list(left) + [key for key in right if key not in left]
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        pairs = [(f"{path}.{key}" if path else str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list) and value:
        pairs = [(f"{path}[{i}]", inner) for i, inner in enumerate(value)]
    else:
        return {path: value}
    return {key: leaf for inner_path, inner in pairs for key, leaf in _flat(inner, inner_path).items()}


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else f"the single value {str(value)[:60]!r}"
