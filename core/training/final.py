"""The result of a training: the adapter, or the whole model, with its tokenizer and card."""

import shutil
from pathlib import Path

from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from core.files import write_whole
from core.hub import card
from core.hub.card_contents import RECIPE, Contents
from core.hub.facts import Facts
from core.hub.portable_recipe import portable
from core.jobs.checkpoint import Checkpoint
from core.models.load import Found
from core.models.precision import DTYPES, precision_of
from core.training.methods import METHODS
from core.training.model import make_portable
from core.training.session import Session
from core.training.trainer import Trainer

ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def write(
    session: Session, found: Found, trainer: Trainer, tokenizer: PreTrainedTokenizerBase, best: Checkpoint | None
) -> None:
    """Write it aside and rename it when it is whole, so that a half-written one is never offered.

    `best` is the checkpoint it is taken from; without one it is what the trainer holds now.
    """
    job, files = session.job, session.worker.files
    whole = METHODS[job.recipe.lora.method].whole
    (_whole_model if whole else _adapter)(session, found, trainer, best)
    tokenizer.save_pretrained(files.final_aside)
    facts = Facts(job, steps=best.step if best else trainer.state.global_step)
    contents = Contents(adapter=not whole, precision=precision_of(found) if whole else None)
    write_whole(files.final_aside / "README.md", card.text(facts, contents))
    write_whole(files.final_aside / RECIPE, portable(job))
    for folder in files.finals:
        shutil.rmtree(folder, ignore_errors=True)
    files.final_aside.rename(files.model if whole else files.adapter)


def _adapter(session: Session, found: Found, trainer: Trainer, best: Checkpoint | None) -> None:
    aside = session.worker.files.final_aside
    if best:
        _copy_adapter(best.folder, aside)
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    model.save_pretrained(aside)
    make_portable(aside, session.job.recipe, model)


def _copy_adapter(checkpoint: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ADAPTER:
        shutil.copy2(checkpoint / name, folder / name)


def _whole_model(session: Session, found: Found, trainer: Trainer, best: Checkpoint | None) -> None:
    """In the number format that the base came in; while it is trained, and in checkpoints, it is fp32."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if best:
        model = AutoModelForCausalLM.from_pretrained(best.folder, use_safetensors=True, trust_remote_code=found.code)
    model.to(DTYPES[precision_of(found)]).save_pretrained(session.worker.files.final_aside)
