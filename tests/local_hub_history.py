"""Change a repository of the local Hub: a commit is there whole or not at all, and every older one stays as it was."""

import json
import os
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.local_hub_repository import LOG, Repository, Snapshot, changing, is_commit, sha256


@dataclass(frozen=True)
class Entry:
    """A commit as the log of its repository has it."""

    id: str
    title: str
    message: str
    user: str
    date: str
    branch: str = "main"


@dataclass(frozen=True)
class Change:
    """One operation of a commit; a file's new contents, or None to delete the file or the folder."""

    path: str
    contents: bytes | Path | None


def commit(repository: Repository, branch: str, changes: Iterable[Change], said: dict[str, str], user: str) -> str:
    """Apply all changes at once; the new commit's id. `said` is the header with `summary` and `description`."""
    folder = repository.state(branch)
    with changing:
        aside = folder.parent / f".new-{uuid.uuid4().hex}"
        _link_all(_kept(repository, folder), aside)
        for change in changes:
            _apply(change, aside)
        made = Snapshot(aside).commit
        _bring(folder, aside)
        _rename(aside, repository.state(made))
        log(repository, Entry(made, said.get("summary", ""), said.get("description", ""), user, now(), branch))
    return made


def create(repository: Repository, files: dict[str, bytes], user: str) -> str:
    """A new repository with its first commit."""
    with changing:
        repository.folder.mkdir(parents=True)
        changes = [Change(name, contents) for name, contents in files.items()]
        return commit(repository, "main", changes, {"summary": "initial commit"}, user)


def delete(repository: Repository) -> None:
    with changing:
        for folder in (repository.folder, *repository.others.values()):
            shutil.rmtree(folder)


def squash(repository: Repository, branch: str, message: str, user: str) -> None:
    """Forget every commit but the present ones: their files are gone for good."""
    with changing:
        present = Snapshot(repository.state(branch)).commit
        for label, folder in repository.others.items():
            if is_commit(label) and label != present:
                shutil.rmtree(folder)
        (repository.folder / LOG).unlink(missing_ok=True)
        log(repository, Entry(present, message, "", user, now(), branch))


def large_files(repository: Repository) -> dict[str, Path]:
    """Every file in large-file storage that any commit holds, by its SHA-256."""
    states = [repository.folder, *repository.others.values()]
    entries = ((entry, state) for state in map(Snapshot, states) for entry in state.tree("", recursive=True))
    return {entry["lfs"]["oid"]: state.files[entry["path"]] for entry, state in entries if "lfs" in entry}


def forget_large_files(repository: Repository, oids: set[str]) -> None:
    """Take the files out of every commit, as if they had never been."""
    with changing:
        for state in map(Snapshot, [repository.folder, *repository.others.values()]):
            for path in list(state.files.values()):
                if sha256(path) in oids:
                    path.unlink()


def history(repository: Repository, branch: str = "main") -> list[Entry]:
    """The commits of a branch that clients made, newest first."""
    file = repository.folder / LOG
    with changing:
        lines = file.read_text().splitlines() if file.exists() else []
    entries = [Entry(**json.loads(line)) for line in lines]
    return [entry for entry in reversed(entries) if entry.branch == branch]


def log(repository: Repository, entry: Entry) -> None:
    with (repository.folder / LOG).open("a") as file:
        file.write(json.dumps(asdict(entry)) + "\n")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def copy_state(snapshot: Snapshot, to: Path) -> None:
    """The same files elsewhere."""
    to.mkdir()
    for name, path in snapshot.files.items():
        _copy(path, to / name)


def _kept(repository: Repository, folder: Path) -> Path:
    """A copy of the present state, which somebody may have written by hand, under its commit."""
    kept = repository.state(Snapshot(folder).commit)
    if not kept.exists():
        copy_state(Snapshot(folder), kept)
    return kept


def _link_all(folder: Path, to: Path) -> None:
    to.mkdir()
    for name, path in Snapshot(folder).files.items():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(path, to / name)


def _apply(change: Change, folder: Path) -> None:
    path = folder / change.path
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)  # never written through: an older commit may have the same file
    if isinstance(change.contents, bytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change.contents)
    elif change.contents is not None:
        _copy(change.contents, path)


def _bring(folder: Path, aside: Path) -> None:
    """Make the branch's own folder equal, with files of its own: a test may change them by hand."""
    wanted, present = Snapshot(aside).files, Snapshot(folder).files
    for name in present.keys() - wanted.keys():
        present[name].unlink()
    for name, path in wanted.items():
        if name not in present or sha256(present[name]) != sha256(path):
            (folder / name).unlink(missing_ok=True)
            _copy(path, folder / name)


def _rename(aside: Path, to: Path) -> None:
    """A state that was there before is there already."""
    if to.exists():
        shutil.rmtree(aside)
    else:
        aside.rename(to)


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, to)
