"""Models from the Hugging Face Hub: pinned to a commit, safetensors only, every refusal in a sentence."""

from pathlib import Path

from core.hub.download import Wanted, fetch
from core.models.progress import Progress

# Weights as safetensors only: a pickle may run code. Never a repository's Python files, unless the recipe trusts them.
WEIGHTS = ["*.safetensors"]
FILES = ["*.json", "*.model", "*.txt", "*.jinja", "*.tiktoken"]
CODE = ["*.py"]


def download(source: str, revision: str | None, progress: Progress, weights: bool = True, code: bool = False) -> Path:
    """The folder of a repository's files at a revision, named after its commit; without a Hub, from the cache.

    Raises HubError.
    """
    patterns = FILES + (WEIGHTS if weights else []) + (CODE if code else [])
    return fetch(Wanted(source, revision, patterns), progress)
