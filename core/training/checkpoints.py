"""Checkpoints: written aside by the trainer, then published. The manifest is written last: without it there is none."""

import hashlib
import json
import shutil
import time
from pathlib import Path

from core import home
from core.files import write_whole
from core.jobs.folder import Job


def publish(written: Path, job: Job, step: int, versions: dict[str, str]) -> int:
    """Make a folder the trainer has written the job's checkpoint of a step; its size in bytes."""
    target = job.files.checkpoint(step)
    job.files.checkpoints.mkdir(exist_ok=True)
    # An earlier, unfinished one of the same step: it has no manifest, or this run repeats the step.
    shutil.rmtree(target, ignore_errors=True)
    written.rename(target)
    files = {str(path.relative_to(target)): _facts(path) for path in sorted(target.rglob("*")) if path.is_file()}
    manifest = {"step": step, "time": time.time(), "versions": versions, "files": files}
    write_whole(home.manifest_file(target), json.dumps(manifest, indent=1))
    return sum(file["size_bytes"] for file in files.values())


def prune(job: Job, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints; the manifest goes first, so none is ever half there."""
    for checkpoint in job.checkpoints[:-keep]:
        home.manifest_file(checkpoint.folder).unlink()
        shutil.rmtree(checkpoint.folder)


def _facts(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        return {"size_bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
