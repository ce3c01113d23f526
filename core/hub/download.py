"""Fetch files of a repository into the Hub's cache: only what is not there, and only where there is room for it."""

import glob
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RevisionNotFoundError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import filter_repo_objects
from tqdm.auto import tqdm

from core.errors import HubError
from core.hub.asker import asking_token
from core.hub.refusals import hub_errors_in_words
from core.hub.take_up import Missing, take_up
from core.models.progress import Progress

ANSWER_WITHIN_S = 10
# What is written beside the download, and what others need meanwhile.
LEAST_FREE_BYTES = 200_000_000


@dataclass(frozen=True)
class Wanted:
    """Files of a repository at a revision; `patterns` as in a shell. `factor` is how often they lie on the disk in the end."""

    source: str
    revision: str | None
    patterns: Sequence[str]
    kind: str = "model"
    factor: float = 1

    @property
    def blobs(self) -> Path:
        """Where the cache keeps contents, by what the Hub names them."""
        return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=self.source, repo_type=self.kind) / "blobs"


def exactly(names: Sequence[str]) -> list[str]:
    """Patterns that mean these files and no others."""
    return [glob.escape(name) for name in names]


def fetch(wanted: Wanted, progress: Progress) -> Path:
    """The folder of the files, named after its commit; without a Hub, from the cache. Raises HubError."""
    what = f"Downloading {wanted.source}"
    with hub_errors_in_words(wanted.source, wanted.revision):
        missing, reached = _missing(wanted)
        size, done = sum(file.size_bytes for file in missing), 0
        _check_room(wanted, size)
        for file in missing:
            done += file.size_bytes if take_up(file, _reporting(what, done, size, progress)) else 0
        folder = snapshot_download(
            wanted.source,
            repo_type=wanted.kind,
            revision=wanted.revision,
            allow_patterns=list(wanted.patterns),
            token=asking_token(),
            local_files_only=not reached,
            tqdm_class=_reporting(what, done, size, progress),
        )
    return Path(folder)


def _missing(wanted: Wanted) -> tuple[list[Missing], bool]:
    """The files that are not in the cache yet, and whether the Hub was reached: without it the cache may have them all."""
    try:
        about = HfApi(token=asking_token()).repo_info(
            wanted.source,
            repo_type=wanted.kind,
            revision=wanted.revision,
            files_metadata=True,
            timeout=ANSWER_WITHIN_S,
        )
    except (httpx2.TransportError, OfflineModeIsEnabled):
        return [], False
    except RevisionNotFoundError:
        raise
    except (
        HfHubHTTPError
    ):  # what was fetched while one was allowed to may be in the cache: the client looks, or raises it again
        return [], True
    files = filter_repo_objects(
        about.siblings or [], allow_patterns=list(wanted.patterns), key=lambda file: file.rfilename
    )
    found = [_as_missing(wanted, file, about.sha) for file in files]
    return [file for file in found if not file.blob.exists()], True


def _as_missing(wanted: Wanted, file: RepoSibling, commit: str | None) -> Missing:
    url = hf_hub_url(wanted.source, file.rfilename, repo_type=wanted.kind, revision=commit)
    contents = file.lfs.sha256 if file.lfs else str(file.blob_id)
    return Missing(wanted.blobs / contents, file.size or 0, file.lfs is not None, url)


def _check_room(wanted: Wanted, size: int) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    free = shutil.disk_usage(next(place for place in (cache, *cache.parents) if place.exists())).free
    needed = size * wanted.factor
    if size and free < needed + LEAST_FREE_BYTES:
        raise HubError(
            f"{wanted.source} needs {needed / 1e9:.1f} GB of disk, and {cache} has {free / 1e9:.1f} GB free. Make space "
            "there, or set HF_HOME to a folder on a larger disk."
        )


def _reporting(what: str, done: int, size: int, progress: Progress) -> type[tqdm]:
    """A progress bar that draws nothing and tells `progress` instead, after so many bytes of so many that are there."""

    class Reporting(tqdm):
        def __init__(self, *args, **settings):
            # There are two in bytes: of what has come over the line, and of what lies on the disk.
            name = settings.pop("name", "")
            self.told = settings.get("unit") == "B" and not name.endswith(".transfer")
            super().__init__(*args, **settings | {"disable": False, "file": _Nowhere()})

        def update(self, n: float | None = 1):
            super().update(n)
            if self.told and self.n:
                progress(what, done + int(self.n), max(size, done + int(self.total or 0)))

    return Reporting


class _Nowhere:
    """A file that forgets what is written to it."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """There is nothing to flush."""
