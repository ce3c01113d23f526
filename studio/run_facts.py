"""A run in a few words: its model, method and data, how it ended, and which checkpoint is its best."""

from pathlib import PurePath

from core import catalog
from core.jobs.folder import Job, Status
from core.recipe import Recipe
from studio import words

METHODS = {"lora": "LoRA", "rslora": "rsLoRA", "dora": "DoRA"}


def model_name(recipe: Recipe) -> str:
    """The catalog's name of the model, else the last part of its id or folder."""
    known = catalog.model(recipe.model.source)
    return known.name if known else PurePath(recipe.model.source).name


def method(recipe: Recipe) -> str:
    """LoRA r16"""
    return f"{METHODS[recipe.lora.method]} r{recipe.lora.rank}"


def data_names(recipe: Recipe) -> str:
    """The first two data sets, and how many more."""
    names = [_data_name(source.source) for source in recipe.data.sources]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def _data_name(source: str) -> str:
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


def outcome(job: Job) -> str:
    """How a run ended and what to do, in words; empty while it is live."""
    if job.damage:
        return job.damage
    if result := job.result:
        return str(result.get("why") or "It ended without saying why. The log has the details.")
    return _interruption(job) if job.status is Status.INTERRUPTED else ""


def _interruption(job: Job) -> str:
    step, total = job.metrics.step, job.total_steps
    where = f"at step {words.whole(step)} of {words.whole(total)}" if step and total else "before its first step"
    saved = job.checkpoints[-1].step if job.checkpoints else None
    kept = f"Step {words.whole(saved)} is saved." if saved else "No checkpoint was saved."
    return f"The worker ended {where} without a result: it was killed, or the machine restarted. {kept}"


def best_step(job: Job) -> int | None:
    """The saved checkpoint with the lowest held-out loss of its own step; None where none was measured there."""
    measured = dict(zip(job.metrics.held_out_step, job.metrics.held_out_loss, strict=False))
    losses = {c.step: measured[c.step] for c in job.checkpoints if words.known(measured.get(c.step))}
    return min(losses, key=losses.__getitem__) if losses else None


def needs_attention(job: Job) -> bool:
    """Whether it ended in a way that nobody asked for."""
    return job.status in (Status.FAILED, Status.INTERRUPTED, Status.DAMAGED)
