"""A run in a few words: its model, method and data, how it ended, and which checkpoint is its best."""

from pathlib import PurePath

from core import catalog
from core.jobs.folder import Job
from core.jobs.status import Status
from core.recipe import Recipe
from core.training.methods import METHODS
from studio import words


def model_name(recipe: Recipe) -> str:
    """The catalog's name of the model, else the last part of its id or folder; and what it is without."""
    known, left_out = catalog.model(recipe.model.source), recipe.model.drop_layers
    name = known.name if known else PurePath(recipe.model.source).name
    return f"{name} without {words.count(left_out, 'layer')}" if left_out else name


def method(recipe: Recipe) -> str:
    """LoRA r16; DPO · LoRA r16 where pairs are learned from."""
    chosen = METHODS[recipe.lora.method]
    how = "Full" if chosen.whole else f"{chosen.title} r{recipe.lora.rank}"
    return f"{recipe.training.objective.upper()} · {how}" if recipe.objective.pairs else how


def final_word(job: Job) -> str:
    """What the run's result is called."""
    return "model" if METHODS[job.recipe.lora.method].whole else "adapter"


def data_names(recipe: Recipe) -> str:
    """The first two data sets, and how many more."""
    names = [data_name(source.source) for source in recipe.data.sources]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def data_name(source: str) -> str:
    known = catalog.dataset(source)
    return known.name if known else PurePath(source).name


def summary(job: Job) -> str:
    """SmolLM2 135M · LoRA r16 · Fernway support · CPU · fp32"""
    if job.damage:
        return "This folder cannot be read as a run"
    training = training_event(job)
    parts = [model_name(job.recipe), method(job.recipe), data_names(job.recipe)]
    return " · ".join(str(part) for part in [*parts, training.get("device"), training.get("precision")] if part)


def training_event(job: Job) -> dict:
    """The event that says what the training became: total_steps, device, precision; empty before it."""
    return next((event for event in job.events if event.get("event") == "training"), {})


def needs_attention(job: Job) -> bool:
    """Whether it ended in a way that nobody asked for."""
    return job.status in (Status.FAILED, Status.INTERRUPTED, Status.DAMAGED)
