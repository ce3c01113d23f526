"""Models from the Hugging Face Hub: pinned to a commit, safetensors only, every refusal in a sentence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm.auto import tqdm

from core import catalog
from core.errors import ModelError
from core.models.progress import Progress

# Weights as safetensors only: a pickle may run code. Never a repository's Python files.
WEIGHTS = ["*.safetensors"]
FILES = ["*.json", "*.model", "*.txt", "*.jinja", "*.tiktoken"]


def download(source: str, revision: str | None, progress: Progress, weights: bool = True) -> Path:
    """The folder of a repository's files at a revision, named after its commit; without a Hub, from the cache.

    Raises ModelError.
    """
    with refusals_in_words(source, revision):
        wanted = FILES + WEIGHTS if weights else FILES
        return Path(
            snapshot_download(source, revision=revision, allow_patterns=wanted, tqdm_class=_reporting(progress))
        )


@contextmanager
def refusals_in_words(source: str, revision: str | None) -> Iterator[None]:
    """Turn what the Hub client raises into one sentence for the person."""
    try:
        yield
    except GatedRepoError:
        raise ModelError(gated_sentence(source)) from None
    except RevisionNotFoundError:
        raise ModelError(
            f"{source} has no revision {revision!r} on the Hub. Check the branch, tag or commit."
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"The Hub has no repository {source}, or it is private. Check the spelling; for a private one sign in with "
            "`hf auth login`."
        ) from None
    except (LocalEntryNotFoundError, httpx2.TransportError):
        raise ModelError(
            f"{source} is not on this machine, and the Hub cannot be reached or is in trouble. Check the connection, or "
            "choose a folder or the starter model."
        ) from None
    except HfHubHTTPError as error:
        code = error.response.status_code
        if code == 401:
            raise ModelError(
                "The Hub does not accept the token on this machine. Sign in again with `hf auth login`."
            ) from None
        raise ModelError(f"The Hub answered {code} when asked for {source}. Try again in a while.") from None


def gated_sentence(source: str) -> str:
    """What to do about a gated repository, with the ungated mirror where the catalog knows one."""
    known = catalog.model(source)
    mirror = f" Or use the ungated mirror {known.mirror}." if known and known.mirror else ""
    page = f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')}/{source}"
    return f"{source} is gated. Accept the licence at {page}, then sign in with `hf auth login`.{mirror}"


def _reporting(progress: Progress) -> type[tqdm]:
    """A progress bar that draws nothing and tells `progress` instead."""

    class Reporting(tqdm):
        def __init__(self, *args, **settings):
            settings.pop("name", None)
            super().__init__(*args, **settings | {"disable": False, "file": _Nowhere()})

        def update(self, n: float | None = 1):
            super().update(n)
            if self.unit == "B" and self.total:
                progress("Downloading the model", int(self.n), int(self.total))

    return Reporting


class _Nowhere:
    """A file that forgets what is written to it."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """There is nothing to flush."""
