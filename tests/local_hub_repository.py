"""A repository of the local Hub: plain folders, read afresh on every request; ids are made from the contents."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

GATE = ".gated"
# The Hub keeps these in large-file storage: their ETag is the SHA-256 of the contents, not git's name for them.
LARGE = {".safetensors", ".parquet", ".bin", ".gguf", ".pt"}


@dataclass(frozen=True)
class Snapshot:
    """One revision of a repository, as its folder is when it is first read: make a new one for every request."""

    folder: Path

    @cached_property
    def files(self) -> dict[str, Path]:
        """Every file by its path inside the repository, in order."""
        found = (path for path in sorted(self.folder.rglob("*")) if path.is_file() and path.name != GATE)
        return {path.relative_to(self.folder).as_posix(): path for path in found}

    @property
    def commit(self) -> str:
        """40 hex digits that change exactly when a name or the contents of a file change."""
        lines = "".join(f"{blob_id(path)} {name}\n" for name, path in self.files.items())
        return hashlib.sha1(lines.encode()).hexdigest()

    def entry(self, name: str) -> dict | None:
        """The Hub's description of a file or a folder; None where there is neither."""
        if name in self.files:
            return _file_entry(name, self.files[name])
        if any(file.startswith(f"{name}/") for file in self.files):
            return {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0}
        return None

    def tree(self, under: str, recursive: bool) -> Iterator[dict]:
        """The entries below a folder ("" is the top): all of them, or those directly in it."""
        top = PurePosixPath(under)
        files = [PurePosixPath(name) for name in self.files]
        names = {name for file in files for name in (file, *file.parents) if top in name.parents}
        for name in sorted(names):
            if recursive or name.parent == top:
                yield self.entry(str(name))


@dataclass(frozen=True)
class Repository:
    """Its folder is the branch `main`; a folder `<name>@<label>` beside it is another branch, a tag or an older state."""

    id: str
    folder: Path

    @property
    def accepted(self) -> list[str] | None:
        """The users who accepted the licence; None where the repository is not gated."""
        gate = self.folder / GATE
        return gate.read_text().split() if gate.exists() else None

    def snapshot(self, revision: str) -> Snapshot | None:
        """The files at a branch, tag or commit; None where the repository has no such revision."""
        others = self.folder.parent.glob(f"{self.folder.name}@*")
        labels = {"main": self.folder} | {folder.name.partition("@")[2]: folder for folder in others}
        if revision in labels:
            return Snapshot(labels[revision])
        return next((kept for kept in map(Snapshot, labels.values()) if kept.commit == revision), None)


def etag(path: Path) -> str:
    """What names a file's contents: SHA-256 for those in large-file storage, git's blob id for the rest."""
    return sha256(path) if path.suffix in LARGE else blob_id(path)


def blob_id(path: Path) -> str:
    return _digests(path, path.stat().st_size, path.stat().st_mtime_ns)[0]


def sha256(path: Path) -> str:
    return _digests(path, path.stat().st_size, path.stat().st_mtime_ns)[1]


@lru_cache(maxsize=10_000)
def _digests(path: Path, size: int, changed_ns: int) -> tuple[str, str]:
    """Git's blob id and the SHA-256; a file is read again only after it changed."""
    blob, sha = hashlib.sha1(f"blob {size}\0".encode()), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            blob.update(chunk)
            sha.update(chunk)
    return blob.hexdigest(), sha.hexdigest()


def _file_entry(name: str, path: Path) -> dict:
    size = path.stat().st_size
    entry = {"type": "file", "path": name, "size": size, "oid": blob_id(path)}
    large = {"lfs": {"oid": sha256(path), "size": size, "pointerSize": 134}} if path.suffix in LARGE else {}
    return entry | large
