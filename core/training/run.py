"""The train job: find where to begin, train there, go on with less memory if it has to, write the final adapter."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from core.data.prepare import find_model
from core.errors import ModelError
from core.jobs.worker import Worker
from core.models.fingerprint import fingerprint
from core.models.load import Found, load_base, load_tokenizer
from core.training import card, memory, packing, processes, resume
from core.training.best import PatienceEnded, best_checkpoint
from core.training.device import choose_device, set_up
from core.training.micro_batch import micro_batch
from core.training.model import make_portable, quantization, with_adapter
from core.training.session import Session, rows_of, versions
from core.training.trainer import Trainer, build


def run(worker: Worker) -> None:
    """Do the whole job; raises StudioError with a sentence for the person."""
    job = worker.job
    device = choose_device(job.recipe.training)
    set_up(device, job.recipe.training)
    shutil.rmtree(worker.files.scratch, ignore_errors=True)
    found = find_model(worker, resume.model_revision(job))
    point = resume.find_point(worker)
    same = fingerprint(found.folder)
    resume.check_model(point, same, job.recipe.model.source)
    files = resume.prepared(worker, found, point)
    train, held_out = rows_of(files, job.recipe)
    micro = micro_batch(job, recomputes=device.kind == "cuda")
    session = Session(worker, device, files, train, held_out, same, point, micro, lambda: worker.stop_requested)
    resume.warn_of_differences(worker, point, session.made())
    try:
        if job.recipe.launcher.processes > 1:
            processes.launch(session)
        else:
            train_here(session, found)
    finally:
        shutil.rmtree(worker.files.scratch, ignore_errors=True)


def train_here(session: Session, found: Found) -> None:
    """Train in this process, with ever smaller batches if the memory is too small, and write the result."""
    session.worker.progress("Loading the model", 0, 1)
    tokenizer = load_tokenizer(found, session.job.recipe.model.chat_template)
    while not attempt(session, found, tokenizer):
        memory.free()
        session = memory.smaller(session)


def attempt(session: Session, found: Found, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Train to the end or to a stop; False if the memory was too small."""
    worker, start = session.worker, session.point.checkpoint
    model = _load(session, found)
    _resolve(session, model.get_nb_trainable_parameters()[0])
    trainer = build(session, model, tokenizer)
    # From here on a stop may not cut anything short: the step is finished, and what was learned is saved.
    with worker.finishing_the_step():
        worker.phase("running")
        try:
            # A run that had come to its early end, and was killed before its result was written, needs the result only.
            with suppress(PatienceEnded):
                trainer.train(resume_from_checkpoint=str(start.folder) if start else None)
        except RuntimeError as error:
            if not memory.is_too_small(error):
                raise
            return False
        if trainer.is_world_process_zero():
            _finish(session, trainer, tokenizer)
    return True


def _load(session: Session, found: Found) -> PeftModel:
    """The base model with its adapter; raises ModelError, also where it does not fit."""
    recipe, device = session.job.recipe, session.device
    try:
        base = load_base(found, device.weights_dtype, device.kind, quantization(recipe, device))
        if recipe.data.packs:
            packing.check(base, recipe.model.source)
        begun = session.point.checkpoint
        return with_adapter(
            base, recipe, session.micro.recomputes, saved=begun.folder if begun else None, rows=session.train
        )
    except RuntimeError as error:
        if not memory.is_too_small(error):
            raise
        raise ModelError(
            f"The model {recipe.model.source} does not fit into the memory of {device.name}. Choose lora.method qlora, or "
            "a smaller model."
        ) from None


def _resolve(session: Session, trainable: int) -> None:
    device, micro, worker = session.device, session.micro, session.worker
    worker.resolve(
        device={"kind": device.kind, "name": device.name, "threads": torch.get_num_threads()},
        precision={"name": device.precision, "reason": device.reason},
        micro_batch={"batch": micro.batch, "accumulation": micro.accumulation},
        activation_checkpointing=micro.recomputes,
        processes=int(os.environ.get("WORLD_SIZE", "1")),
        trainable_parameters=trainable,
        versions=versions(),
    )
    worker.event("training", total_steps=session.steps, device=device.name, precision=device.precision)


def _finish(session: Session, trainer: Trainer, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write the adapter with its card, then the result."""
    worker, job, state = session.worker, session.job, trainer.state
    if trainer.reporter.not_finite_since is not None:
        raise ModelError(trainer.reporter.hopeless())
    rows, step, early = len(session.train), state.global_step, trainer.judge.ended
    whole = early or step == state.max_steps
    best = best_checkpoint(worker) if whole and job.recipe.training.load_best else None
    aside = worker.files.adapter_aside
    if best:
        _copy_adapter(best.folder, aside)
    else:
        model = trainer.accelerator.unwrap_model(trainer.model)
        model.save_pretrained(aside)
        make_portable(aside, job.recipe, model)
    tokenizer.save_pretrained(aside)
    loss = job.metrics.held_out_at[best.step] if best else job.metrics.last_held_out_loss
    card.write(aside, job, {"steps": best.step if best else step, "held_out_loss": loss, "rows": rows})
    # Renamed when it is whole, so a half-written adapter is never offered.
    shutil.rmtree(worker.files.adapter, ignore_errors=True)
    aside.rename(worker.files.adapter)
    if not whole:
        saved = f"The checkpoint of step {step:,} is saved."
        worker.finish("stopped", f"Stopped after step {step:,} of {state.max_steps:,}. {saved}", step=step)
        return
    what = "packed rows" if job.recipe.data.packs else "rows"
    said = [f"Trained {step:,} steps on {rows:,} {what}."]
    if early:
        measured = trainer.judge.without_progress
        said.append(f"Ended early: the held-out loss had found no new best for {measured:,} measurements.")
    if best:
        said.append(f"The adapter is that of step {best.step:,}, the best by held-out loss ({loss:.3f}).")
    worker.finish("finished", " ".join(said), step=step)


def _copy_adapter(checkpoint: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy2(checkpoint / name, folder / name)
