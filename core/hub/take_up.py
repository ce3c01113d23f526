"""Go on with downloads that a killed process left half done: the Hub's client resumes only what it began itself.

Each of its downloads grows in the cache as `<name of the contents>.<random>.incomplete` and is renamed when it is whole. What
is found here is grown to its end, and kept only if it is what it should be.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from huggingface_hub import constants
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers
from tqdm.auto import tqdm

from core.hub.asker import asking_token

# Of a smaller file the beginning is not worth a further request.
LEAST_BYTES = 1_000_000


@dataclass(frozen=True)
class Missing:
    """A file that is not in the cache: where its contents will lie, and where they come from.

    The contents are named by their SHA-256 if the file is large, else as git does.
    """

    blob: Path
    size_bytes: int
    large: bool
    url: str


def take_up(file: Missing, bars: type[tqdm]) -> bool:
    """Bring the largest part of a file that was left to its end, and remove all parts; whether the file is whole now."""
    left = sorted(file.blob.parent.glob(f"{file.blob.name}.*.incomplete"), key=lambda part: part.stat().st_size)
    if not left:
        return False
    try:
        with FileLock(_lock(file.blob), timeout=0, mode=0o664):
            if file.large and LEAST_BYTES <= left[-1].stat().st_size <= file.size_bytes:
                _finish(left[-1], file, bars)
            for part in left:
                part.unlink(missing_ok=True)
    except Timeout:
        return False
    return file.blob.exists()


def _lock(blob: Path) -> Path:
    """The lock under which the client downloads these contents: who holds it is still at work."""
    lock = Path(constants.HF_HUB_CACHE) / ".locks" / blob.parents[1].name / f"{blob.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    return lock


def _finish(part: Path, file: Missing, bars: type[tqdm]) -> None:
    begun = part.stat().st_size
    with part.open("r+b") as growing:
        growing.seek(begun)
        if begun < file.size_bytes:
            headers = build_hf_headers(token=asking_token())
            http_get(
                file.url,
                growing,
                resume_size=begun,
                headers=headers,
                expected_size=file.size_bytes,
                displayed_filename=file.blob.name,
                tqdm_class=bars,
            )
    with part.open("rb") as whole:
        right = hashlib.file_digest(whole, "sha256").hexdigest() == file.blob.name
    if right:
        part.rename(file.blob)
