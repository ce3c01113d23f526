"""Write checkpoints: aside by the trainer, then published. The manifest is written last: without it there is none."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from core import home
from core.errors import JobError
from core.files import FULL, write_whole
from core.hardware import machine
from core.jobs.checkpoint import Broken, Checkpoint
from core.jobs.folder import Job
from core.plan.plan import checkpoint_bytes

# torch and safetensors report a full disk as errors of their own, with the system's words in them.
FULL_WORDS = ("No space left", "Disk quota", "file write failed", "unexpected pos")
SPARE_BYTES = 5_000_000


def publish(written: Path, job: Job, step: int, made: dict[str, Any]) -> int:
    """Make a folder the trainer has written the job's checkpoint of a step; its size in bytes.

    `made` says what it was made with and on: data, model, batch, machine, versions.
    """
    target = job.files.checkpoint(step)
    job.files.checkpoints.mkdir(exist_ok=True)
    # An earlier, unfinished one of the same step: it has no manifest, or this run repeats the step.
    shutil.rmtree(target, ignore_errors=True)
    files = {str(path.relative_to(written)): _facts(path) for path in sorted(written.rglob("*")) if path.is_file()}
    written.rename(target)
    manifest = {"step": step, "time": time.time(), "made": made, "files": files}
    write_whole(home.manifest_file(target), json.dumps(manifest, indent=1))
    return sum(file["size_bytes"] for file in files.values())


def prune(job: Job, keep: int, doubtful_from: int | None = None) -> None:
    """Delete all but the newest `keep` checkpoints, the best, and the last before a step from which all are in doubt."""
    undoubted = [checkpoint.step for checkpoint in job.checkpoints if checkpoint.step < (doubtful_from or 0)]
    spared = {job.best_step, *undoubted[-1:]}
    for checkpoint in job.checkpoints[:-keep]:
        if checkpoint.step not in spared:
            remove(checkpoint.folder)


def newest_good(job: Job, step: int | None = None) -> tuple[Checkpoint | None, list[Broken]]:
    """The newest checkpoint whose every byte is what was written, or that of a step; and the broken ones after it.

    Raises JobError where a step is asked for and its checkpoint is broken or missing.
    """
    broken = job.broken_checkpoints
    for checkpoint in reversed(job.checkpoints):
        if step not in (None, checkpoint.step):
            continue
        if not (why := checkpoint.damage(hashes=True)):
            return checkpoint, [found for found in broken if found.step > checkpoint.step]
        broken.append(Broken(checkpoint.step, why))
    if step is not None:
        why = next((found.why for found in broken if found.step == step), "it is not there")
        raise JobError(f"The checkpoint of step {step:,} cannot be used: {why}. Resume from another one.")
    return None, broken


def discard_after(job: Job, step: int) -> None:
    """Remove the checkpoints of later steps, whole or broken: they are made again."""
    for folder in job.files.checkpoints.glob("step-*"):
        if folder.name > job.files.checkpoint(step).name:
            remove(folder)


def remove(folder: Path) -> None:
    """Delete a checkpoint; the manifest goes first, so none is ever half there."""
    home.manifest_file(folder).unlink(missing_ok=True)
    shutil.rmtree(folder)


def check_space(job: Job) -> None:
    """Raise JobError where the next checkpoint would not fit; its size is that of the last, or else forecast."""
    saved = job.checkpoints
    trainable = job.resolved.get("trainable_parameters")
    needed = (saved[-1].size_bytes if saved else checkpoint_bytes(job.recipe, trainable)) + SPARE_BYTES
    free = machine(job.folder).disk_free_bytes
    if free < needed:
        raise JobError(_no_room(job, f"{free / 1e6:,.0f} MB free, and a checkpoint needs {needed / 1e6:,.0f} MB"))


@contextmanager
def full_disk_in_words(job: Job) -> Iterator[None]:
    """Turn what the libraries raise on a full disk into a sentence; what was half written is removed."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if getattr(error, "errno", None) not in FULL and not any(words in str(error) for words in FULL_WORDS):
            raise
        shutil.rmtree(job.files.scratch, ignore_errors=True)
        raise JobError(_no_room(job, "no room for the checkpoint that was being written")) from error


def _no_room(job: Job, what: str) -> str:
    saved = job.checkpoints
    kept = f"The checkpoint of step {saved[-1].step:,} is intact. " if saved else "No checkpoint was saved yet. "
    return f"The disk is full: {what}. {kept}Make space under {home.home()}, then resume."


def _facts(path: Path) -> dict[str, int | str]:
    """Size and hash of a file, which is on the disk itself from here on, not only in the system's memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return {"size_bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
