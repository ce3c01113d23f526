"""What of a job folder goes up: the texts as they are now, one checkpoint, the result, the data files."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core import home
from core.errors import HubError
from core.hub.carried import carried
from core.hub.manifest import RUN, TEXTS, CarriedData, FileFacts, Manifest, may_stand
from core.jobs.checkpoint import Checkpoint
from core.jobs.folder import Job

GROWING = (".jsonl",)


@dataclass(frozen=True)
class Piece:
    """A file as it goes up: a path for a large one, or its contents, with what it is known by."""

    contents: Path | bytes
    facts: FileFacts


@dataclass(frozen=True)
class Contents:
    """Path in the repository -> piece; and what of the data does not go along, in words."""

    pieces: dict[str, Piece]
    data: list[CarriedData]
    left_behind: list[str]

    @property
    def facts(self) -> dict[str, FileFacts]:
        return {path: piece.facts for path, piece in self.pieces.items()}


def contents_of(job: Job, checkpoint: Checkpoint | None, with_result: bool, with_data: bool) -> Contents:
    """Everything small, with one checkpoint where one is given, the final adapter or model, and the data files."""
    pieces = dict(_texts(job))
    if checkpoint:
        pieces |= _folder(checkpoint.folder, f"checkpoints/{job.files.checkpoint(checkpoint.step).name}")
    if with_result and job.final:
        pieces |= _folder(job.final, job.final.name)
    # What the data was is known once it is prepared.
    found, left = carried(job) if with_data and job.prepared_key else ([], [])
    for one in found:
        pieces |= {path: piece_of(file) for path, file in one.files.items()}
    data = [CarriedData(source=one.source, folder=one.folder, files=list(one.files)) for one in found]
    # The rest a restore would refuse: above all a model's own code.
    return Contents({path: piece for path, piece in pieces.items() if may_stand(path)}, data, left)


def recipe_alone(job: Job) -> Contents:
    """What a run is before anything has happened in it."""
    return Contents({path: piece for path, piece in _texts(job) if path == f"{RUN}/recipe.yaml"}, [], [])


def manifest_of(job: Job, writer: str, files: dict[str, FileFacts]) -> Manifest:
    """What the backup of a job says of itself."""
    facts = {"job": job.id, "name": job.name, "total_steps": job.total_steps, "status": str(job.status)}
    return Manifest(writer=writer, files=files, **facts)


def held(job: Job, checkpoint: Checkpoint) -> Checkpoint | None:
    """The checkpoint under a second name, so that it stays while it goes up; None where it was deleted meanwhile.

    Raises HubError where there is no room for it.
    """
    aside = job.files.backup_aside / checkpoint.folder.name
    shutil.rmtree(aside, ignore_errors=True)
    try:
        shutil.copytree(checkpoint.folder, aside, copy_function=_second_name)
    except (OSError, shutil.Error):
        shutil.rmtree(aside, ignore_errors=True)
        if home.manifest_file(checkpoint.folder).exists():
            raise HubError(
                f"The checkpoint of step {checkpoint.step:,} cannot be backed up: {aside.parent} cannot be written. Make space "
                "on its disk."
            ) from None
        return None
    held_one = Checkpoint(checkpoint.step, aside, checkpoint.manifest)
    return None if held_one.damage() else held_one


def unlike_its_manifest(checkpoint: Checkpoint, pieces: dict[str, Piece]) -> str | None:
    """The first file of a checkpoint that is not what was written, or may not go up; None where all are well."""
    hashes = {path.partition(f"{checkpoint.folder.name}/")[2]: piece.facts.sha256 for path, piece in pieces.items()}
    files = checkpoint.manifest["files"]
    return next((name for name, facts in files.items() if hashes.get(name) != facts.get("sha256")), None)


def piece_of(contents: Path | bytes) -> Piece:
    if isinstance(contents, bytes):
        size, digest = len(contents), hashlib.sha256(contents).hexdigest()
    else:
        with contents.open("rb") as file:
            size, digest = os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
    return Piece(contents, FileFacts(size_bytes=size, sha256=digest))


def _texts(job: Job) -> Iterator[tuple[str, Piece]]:
    for name in TEXTS:
        path = job.folder / name
        if path.is_file():
            text = path.read_bytes()
            # The last line of one that grows may be half written.
            whole = text[: text.rfind(b"\n") + 1] if path.suffix in GROWING else text
            yield f"{RUN}/{name}", piece_of(whole)


def _folder(folder: Path, name: str) -> dict[str, Piece]:
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {f"{RUN}/{name}/{file.relative_to(folder).as_posix()}": piece_of(file) for file in files}


def manifest_hash(checkpoint: Checkpoint) -> str | None:
    """What tells a checkpoint from any other; None where it was deleted meanwhile."""
    try:
        return hashlib.sha256(home.manifest_file(checkpoint.folder).read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def _second_name(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
