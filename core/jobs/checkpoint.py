"""Read checkpoints: which can be used, which are broken and why. `core/training/checkpoints.py` writes them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import home
from core.jobs.tail import object_of


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint with its manifest. The manifest came last, so all of it was there once."""

    step: int
    folder: Path
    manifest: dict[str, Any]

    @property
    def size_bytes(self) -> int:
        return sum(facts["size_bytes"] for facts in self.manifest["files"].values())

    def damage(self, hashes: bool = False) -> str | None:
        """What is wrong with its files, or None; sizes are looked at, and with `hashes` every byte."""
        for name, facts in self.manifest["files"].items():
            file = self.folder / name
            found = file.stat().st_size if file.is_file() else None
            if found is None:
                return f"{name} is missing"
            if found != facts["size_bytes"]:
                return f"{name} has {found:,} bytes instead of {facts['size_bytes']:,}"
            if hashes and _sha256(file) != facts.get("sha256"):
                return f"{name} is not what was written"
        return None


@dataclass(frozen=True)
class Broken:
    """A checkpoint that cannot be used, and why."""

    step: int
    why: str


def checkpoints_in(files: home.JobFiles) -> tuple[list[Checkpoint], list[Broken]]:
    """Those whose files are all there with their sizes, and the others; both oldest first."""
    good, broken = [], []
    for folder in sorted(files.checkpoints.glob("step-*")):
        found = _read(folder)
        why = found.damage() if isinstance(found, Checkpoint) else found.why
        if why:
            broken.append(Broken(found.step, why))
        else:
            good.append(found)
    return sorted(good, key=_step), sorted(broken, key=_step)


def _read(folder: Path) -> Checkpoint | Broken:
    named = folder.name.removeprefix("step-")
    step = int(named) if named.isdecimal() else 0
    manifest = object_of(home.manifest_file(folder))
    if manifest is None:
        return Broken(step, "its manifest is missing, so it was never finished")
    files = manifest.get("files")
    known = isinstance(files, dict) and all(_counted(facts) for facts in files.values())
    if manifest.get("step") != step or not known:
        return Broken(step, "its manifest cannot be read")
    return Checkpoint(step, folder, manifest)


def _counted(facts: Any) -> bool:
    return isinstance(facts, dict) and isinstance(facts.get("size_bytes"), int)


def _step(checkpoint: Checkpoint | Broken) -> int:
    return checkpoint.step


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
