"""The train job: find where to begin, train there, go on with less memory if it has to, write the result."""

import math
import os
import shutil
from collections.abc import Callable
from contextlib import suppress

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.data.prepare import find_model
from core.errors import ModelError
from core.hardware import IMITATED
from core.hub import backing
from core.jobs.folder import Job
from core.jobs.worker import Worker
from core.models import crowd
from core.models.begun import left_out_of
from core.models.fingerprint import fingerprint
from core.models.load import Found, load_base, load_tokenizer
from core.models.too_small import is_too_small
from core.recipe import Recipe
from core.training import final, memory, packing, peak, processes, resume, template_tokens
from core.training.best import AlreadyEnded, best_checkpoint
from core.training.device import choose_device, set_up
from core.training.held_out_events import ALL, before_and_after, preference
from core.training.measure_pace import measure_pace
from core.training.methods import METHODS
from core.training.micro_batch import micro_batch
from core.training.model import base_dtype, trainable_parameters, trained_model
from core.training.session import Session, rows_of, versions
from core.training.trainer import Trainer, build

# Writes what was trained, and the result.
Finish = Callable[[Session, Found, Trainer, PreTrainedTokenizerBase], None]


def run(worker: Worker) -> None:
    """Do the whole job; raises StudioError with a sentence for the person."""
    job = worker.job
    device = choose_device(job.recipe.training)
    set_up(device, job.recipe.training)
    if device.imitates:
        worker.warning(IMITATED)
    shutil.rmtree(worker.files.scratch, ignore_errors=True)
    found = find_model(worker, job)
    point = resume.find_point(worker)
    same = fingerprint(found.folder)
    resume.check_model(point, same, job.recipe.model.source)
    files = resume.prepared(worker, found, point)
    if point.again:
        resume.go_back(worker, point)
    train, held_out = rows_of(files, job.recipe)
    micro = micro_batch(job, device.machine())
    # Its processes, if there are several, do as it does; and whoever asks what it will take knows.
    worker.resolve(activation_checkpointing=micro.recomputes)
    session = Session(worker, device, files, train, held_out, same, point, micro, lambda: worker.stop_requested)
    resume.warn_of_differences(worker, point, session.made())
    backing.start(worker)
    try:
        if job.recipe.launcher.processes > 1:
            processes.launch(session)
        else:
            train_here(session, found)
    finally:
        shutil.rmtree(worker.files.scratch, ignore_errors=True)


def train_here(session: Session, found: Found, finish: Finish | None = None) -> None:
    """Train in this process, with ever smaller batches if the memory is too small; `finish` may write another result."""
    if session.device.kind == "cpu":
        crowd.watch(session.worker.warning)
    session.worker.progress("Loading the model", 0, 1)
    tokenizer = load_tokenizer(found, session.job.recipe.model.chat_template)
    while not attempt(session, found, tokenizer, finish):
        memory.let_go()
        memory.remember(session)
        session = memory.smaller(session)


def attempt(session: Session, found: Found, tokenizer: PreTrainedTokenizerBase, finish: Finish | None = None) -> bool:
    """Train to the end or to a stop; False if the memory was too small."""
    worker, start = session.worker, session.point.checkpoint
    measure_pace(session.device)
    peak.forget(session.device)
    model = _load(session, found, tokenizer)
    _resolve(session, trainable_parameters(model))
    try:
        trainer = build(session, model, tokenizer)
    except RuntimeError as error:
        if not is_too_small(error):
            raise
        return False
    # From here on a stop may not cut anything short: the step is finished, and what was learned is saved.
    with worker.finishing_the_step():
        worker.phase("running")
        try:
            # A run that had come to its end, and was killed before its result was written, needs the result only.
            with suppress(AlreadyEnded):
                trainer.train(resume_from_checkpoint=str(start.folder) if start else None)
        except RuntimeError as error:
            if not is_too_small(error):
                raise
            return False
        if trainer.is_world_process_zero():
            (finish or _finish)(session, found, trainer, tokenizer)
    return True


def _load(session: Session, found: Found, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel | PeftModel:
    """The model that is trained; raises ModelError, also where it does not fit."""
    recipe, device = session.job.recipe, session.device
    try:
        base = load_base(found, base_dtype(recipe, device), device.kind, METHODS[recipe.lora.method].bits)
        if recipe.data.packs:
            packing.check(base, recipe.model.source)
        begun = session.point.checkpoint
        marks = _marks(session, base, tokenizer)
        saved = begun.folder if begun else None
        return trained_model(base, recipe, session.micro.recomputes, saved=saved, rows=session.train, marks=marks)
    except RuntimeError as error:
        if not is_too_small(error):
            raise
        raise ModelError(
            f"The model {recipe.model.source} does not fit into the memory of {device.name}. Choose lora.method qlora, or "
            "a smaller model."
        ) from None


def _marks(session: Session, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The template's tokens; says so where the model has never learned them and is not going to."""
    marks = template_tokens.marks(session.train, session.special_ids)
    lora = session.job.recipe.lora
    if METHODS[lora.method].whole or lora.template_tokens:
        return marks
    if new := template_tokens.unlearned(base, marks):
        session.worker.warning(
            f"This model has most likely never learned {', '.join(tokenizer.convert_ids_to_tokens(new))}, with which its chat "
            "template marks turns. Turn lora.template_tokens on, or choose `plain` or `alpaca` as model.chat_template."
        )
    return marks


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


def _finish(session: Session, found: Found, trainer: Trainer, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write what was trained, then the result."""
    worker, job, state = session.worker, session.job, trainer.state
    if trainer.reporter.divergence.without_a_number:
        raise ModelError(trainer.reporter.divergence.sentence())
    step, early = state.global_step, trainer.judge.ended
    whole = early or step == state.max_steps
    best = best_checkpoint(worker) if whole and job.recipe.training.load_best else None
    final.write(session, found, trainer, tokenizer, best)
    if not whole:
        said = [f"Stopped after step {step:,} of {state.max_steps:,}. The checkpoint of step {step:,} is saved."]
        _end(session, "stopped", said, step)
        return
    rows = len(session.train)
    what = _rows_in_words(job.recipe, rows)
    reached = job.recipe.reached(step, rows)
    of = f"{reached:,} of {rows:,}" if reached < rows else f"{rows:,}"
    said = [f"Trained {step:,} {'step' if step == 1 else 'steps'} on {of} {what}."]
    if early:
        measured = trainer.judge.without_progress
        said.append(f"Ended early: the held-out loss had found no new best for {measured:,} measurements.")
    if best:
        loss = job.metrics.held_out_at[best.step]
        said.append(f"The result is that of step {best.step:,}, the best by held-out loss ({loss:.3f}).")
    _end(session, "finished", [*said, *_measured(job)], step)


def _end(session: Session, status: str, said: list[str], step: int) -> None:
    """Write the result, once the backup is safe or cannot be."""
    backed_up = backing.wait(session.worker, session.stop_asked)
    session.worker.finish(status, " ".join([*said, *([backed_up] if backed_up else [])]), step=step)


def _measured(job: Job) -> list[str]:
    """How the held-out loss went from the base to the result; of pairs also which answer is preferred now."""
    before, after = before_and_after(job).get(ALL, (None, None))
    if before is None:
        return []
    perplexities = f" (perplexity {math.exp(min(before, 99)):,.2f} to {math.exp(min(after, 99)):,.2f})"
    left_out = left_out_of(job)
    since = f", with {left_out.words} left out and nothing learned yet," if left_out else ""
    known = "" if job.recipe.objective.pairs else perplexities  # the loss of a pair is in no nats a token
    return [*filter(None, [preference(job)]), f"The held-out loss went from {before:.3f}{since} to {after:.3f}{known}."]


def _rows_in_words(recipe: Recipe, number: int) -> str:
    one = "packed row" if recipe.data.packs else "pair" if recipe.objective.pairs else "row"
    return one if number == 1 else f"{one}s"
