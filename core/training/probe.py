"""The probe job: a few real steps, one of them on the longest rows. What it measures corrects every later plan.

It is the training's own code on fewer rows; what it has trained is removed.
"""

import shutil

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from core.data.prepare import find_model, prepare
from core.jobs.worker import Worker
from core.models.fingerprint import fingerprint
from core.models.load import Found
from core.training import run as training
from core.training.device import choose_device, set_up
from core.training.micro_batch import micro_batch
from core.training.resume import Point
from core.training.session import Session, rows_of
from core.training.trainer import Trainer


def run(worker: Worker) -> None:
    """Do the whole job; raises StudioError with a sentence for the person."""
    recipe = worker.job.recipe
    device = choose_device(recipe.training)
    set_up(device, recipe.training)
    found = find_model(worker)
    _, files = prepare(worker, found)
    rows = chosen(rows_of(files, recipe)[0], recipe.effective_batch(), recipe.training.max_steps)
    micro = micro_batch(worker.job, device.machine())
    same = fingerprint(found.folder)
    session = Session(worker, device, files, rows, None, same, Point(), micro, lambda: worker.stop_requested)
    try:
        training.train_here(session, found, _say)
    finally:
        for folder in (worker.files.scratch, worker.files.checkpoints, worker.files.adapter):
            shutil.rmtree(folder, ignore_errors=True)


def _say(session: Session, found: Found, trainer: Trainer, tokenizer: PreTrainedTokenizerBase) -> None:
    """The result: what was measured; nothing of what was trained."""
    worker, step = session.worker, trainer.state.global_step
    if step < session.steps:
        worker.finish("stopped", f"Stopped after {step} of {session.steps} steps: too few to measure.", step=step)
        return
    peak = worker.job.resolved["peak_memory_bytes"]
    smaller = session.micro.batch < worker.job.recipe.training.batch
    fits = f" Only batch {session.micro.batch} fits." if smaller else ""
    speed = f"{trainer.gauge.step_s:.2g} s a step"
    worker.finish(
        "finished", f"Measured: {peak / 1e9:.2f} GB at most, {speed}.{fits}", step=step, peak_memory_bytes=peak
    )


def chosen(rows: Dataset, of_a_step: int, steps: int) -> Dataset:
    """The rows of the probe in their order: some as they come, the longest ones for the second step, then some again."""
    lengths = np.array([len(ids) for ids in rows["input_ids"]])
    longest = np.resize(np.argsort(-lengths, kind="stable")[:of_a_step], of_a_step)
    some = np.resize(np.random.default_rng(0).permutation(len(rows)), of_a_step * (steps - 1))
    return rows.select(np.insert(some, of_a_step, longest))
