"""What a `source` of a recipe names: the starter, a place on this machine, or a repository on the Hub."""

import re
from enum import StrEnum
from pathlib import Path

from core import home

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
COMMIT = re.compile(r"[0-9a-f]{40}")
FILE_ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt")


class Place(StrEnum):
    STARTER = "starter"
    LOCAL = "local"
    HUB = "hub"
    UNKNOWN = "unknown"


def place_of(source: str) -> Place:
    """Where a source lies, judged by its form and by what exists here; nothing is fetched."""
    if source == "starter":
        return Place.STARTER
    if source.startswith(("/", "./", "../", "~", "uploads/")) or is_there(local_path(source)):
        return Place.LOCAL
    if source.endswith(FILE_ENDINGS):
        return Place.LOCAL
    return Place.HUB if HUB_ID.match(source) and len(source) <= 96 else Place.UNKNOWN


def local_path(source: str) -> Path:
    """A source as a path: `uploads/…` and `feedback/…` lie under `$STUDIO_HOME`, anything else under the current folder."""
    path = _expanded(Path(source))
    if _in_home(path) and (is_there(home.home() / path) or not is_there(path)):
        return home.home() / path
    return path.absolute()


def is_there(path: Path) -> bool:
    """Whether something is at a path; in a folder that is closed to us, or under a name that no disk can hold, nothing is."""
    try:
        return path.exists()
    except OSError:
        return False


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # nobody here is called so
        return path


def is_commit(revision: str) -> bool:
    """Whether a revision is a commit's whole id: a branch or a tag may mean other files tomorrow."""
    return COMMIT.fullmatch(revision) is not None


def leaves_its_folder(source: str) -> bool:
    """Whether a source begins in one of the studio's folders and ends outside of it."""
    path = Path(source)
    return _in_home(path) and ".." in path.parts


def _in_home(path: Path) -> bool:
    return len(path.parts) > 1 and path.parts[0] in home.SOURCE_FOLDERS
