"""A repository of the local Hub: plain folders, read afresh on every request; ids are made from the contents."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from threading import RLock
from urllib.parse import quote, unquote

GATE = ".gated"
PRIVATE = ".private"
LOG = ".commits"  # a JSON line for every commit that a client made
SPACE = ".space"  # a Space's hardware, variables and the names of its secrets
TAG = ".tag"  # this state has the name for good
HIDDEN = {GATE, PRIVATE, LOG, SPACE, TAG}
# The Hub keeps these in large-file storage: their ETag is the SHA-256 of the contents, not git's name for them.
LARGE = {
    *(".safetensors", ".parquet", ".bin", ".gguf", ".pt", ".pth", ".pkl", ".arrow", ".npy", ".npz", ".h5", ".onnx"),
    *(".zip", ".gz", ".tar", ".zst", ".7z", ".model", ".msgpack"),
}
LARGE_BYTES = 10_000_000
COMMIT_LETTERS = set("0123456789abcdef")

# Held while a repository changes and while its present state is looked up, so that no reader sees half a commit.
changing = RLock()


@dataclass(frozen=True)
class Snapshot:
    """One revision of a repository, as its folder is when it is first read: make a new one for every request."""

    folder: Path

    @cached_property
    def files(self) -> dict[str, Path]:
        """Every file by its path inside the repository, in order."""
        found = (path for path in sorted(self.folder.rglob("*")) if path.is_file() and path.name not in HIDDEN)
        return {path.relative_to(self.folder).as_posix(): path for path in found}

    @cached_property
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

    kind: str  # models | datasets | spaces
    id: str
    folder: Path

    @property
    def namespace(self) -> str:
        return self.id.partition("/")[0]

    @property
    def private(self) -> bool:
        return (self.folder / PRIVATE).exists()

    @property
    def accepted(self) -> list[str] | None:
        """The users who accepted the licence; None where the repository is not gated."""
        gate = self.folder / GATE
        return gate.read_text().split() if gate.exists() else None

    @property
    def others(self) -> dict[str, Path]:
        """The other states, by branch, tag or commit."""
        prefix = f"{self.folder.name}@"
        beside = self.folder.parent.iterdir()
        return {
            unquote(folder.name.removeprefix(prefix)): folder for folder in beside if folder.name.startswith(prefix)
        }

    def state(self, label: str) -> Path:
        """The folder of a branch, a tag or an older commit."""
        plain = quote(label, safe="")
        return self.folder if label == "main" else self.folder.with_name(f"{self.folder.name}@{plain}")

    def is_tag(self, label: str) -> bool:
        """Whether the name is given for good."""
        return (self.state(label) / TAG).exists()

    def snapshot(self, revision: str) -> Snapshot | None:
        """The files at a branch, tag or commit; None where the repository has no such revision.

        What a client committed is kept as it was then, so that a reader is served one state to the end.
        """
        with changing:
            if self.state(revision).is_dir():
                found = Snapshot(self.state(revision))
                kept = self.state(found.commit)
                return Snapshot(kept) if kept.is_dir() else found
            states = map(Snapshot, [self.folder, *self.others.values()])
            return next((kept for kept in states if kept.commit == revision), None) if is_commit(revision) else None


def is_commit(label: str) -> bool:
    """Whether it is a commit's id rather than the name of a branch or tag."""
    return len(label) == 40 and set(label) <= COMMIT_LETTERS


def is_large(name: str, size: int) -> bool:
    """Whether a file is kept in large-file storage."""
    return PurePosixPath(name).suffix in LARGE or size > LARGE_BYTES


def etag(path: Path) -> str:
    """What names a file's contents: SHA-256 for those in large-file storage, git's blob id for the rest."""
    return sha256(path) if is_large(path.name, path.stat().st_size) else blob_id(path)


def blob_id(path: Path) -> str:
    return _digests(path)[0]


def sha256(path: Path) -> str:
    return _digests(path)[1]


_known: dict[tuple[int, ...], tuple[str, str]] = {}


def _digests(path: Path) -> tuple[str, str]:
    """Git's blob id and the SHA-256; a file is read again only after it changed, under whatever name."""
    about = path.stat()
    key = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
    if key not in _known:
        blob, sha = hashlib.sha1(f"blob {about.st_size}\0".encode()), hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                blob.update(chunk)
                sha.update(chunk)
        _known[key] = blob.hexdigest(), sha.hexdigest()
    return _known[key]


def _file_entry(name: str, path: Path) -> dict:
    size = path.stat().st_size
    entry = {"type": "file", "path": name, "size": size, "oid": blob_id(path)}
    large = {"lfs": {"oid": sha256(path), "size": size, "pointerSize": 134}} if is_large(name, size) else {}
    return entry | large
