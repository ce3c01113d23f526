"""Models from the Hugging Face Hub: pinned to a commit, safetensors only, every refusal in a sentence."""

from pathlib import Path

from huggingface_hub import snapshot_download
from tqdm.auto import tqdm

from core.hub.asker import asking_token
from core.hub.refusals import hub_errors_in_words
from core.models.progress import Progress

# Weights as safetensors only: a pickle may run code. Never a repository's Python files.
WEIGHTS = ["*.safetensors"]
FILES = ["*.json", "*.model", "*.txt", "*.jinja", "*.tiktoken"]


def download(source: str, revision: str | None, progress: Progress, weights: bool = True) -> Path:
    """The folder of a repository's files at a revision, named after its commit; without a Hub, from the cache.

    Raises HubError.
    """
    with hub_errors_in_words(source, revision):
        wanted = FILES + WEIGHTS if weights else FILES
        return Path(
            snapshot_download(
                source, revision=revision, allow_patterns=wanted, token=asking_token(), tqdm_class=_reporting(progress)
            )
        )


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
