"""One file of a data set's repository on the Hub, for the studio's own readers: no program of the repository's is needed."""

from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError

from core.data.hub import commit_now
from core.data.named_file import named_file
from core.errors import DataError
from core.hub import download
from core.hub.download import Wanted, exactly
from core.models.progress import Progress, silent
from core.recipe_data import Source


def fetch(source: Source, progress: Progress = silent) -> tuple[Path, str]:
    """The file on this machine and the commit it comes from; without a Hub, what was fetched before.

    Raises DataError or HubError.
    """
    name = named_file(source)
    found = _kept(source, name) if commit_now(source) is None else _fetched(source, name, progress)
    return found, found.parents[name.count("/")].name


def _fetched(source: Source, name: str, progress: Progress) -> Path:
    # By the revision's own name: only so is a branch found again without the Hub.
    wanted = Wanted(source.source, source.revision, exactly([name]), "dataset")
    found = download.fetch(wanted, progress) / name
    if not found.exists():
        raise DataError(
            f"{source.source} has no file {name}{_at(source)}. Check the data set's `file`, `config` and `split`."
        )
    return found


def _kept(source: Source, name: str) -> Path:
    try:
        return Path(
            hf_hub_download(source.source, name, repo_type="dataset", revision=source.revision, local_files_only=True)
        )
    except LocalEntryNotFoundError:
        raise DataError(
            f"The file {name} of {source.source} is not on this machine{_at(source)}, and the Hub cannot be reached. Check the "
            "connection, or use a file or the starter data."
        ) from None


def _at(source: Source) -> str:
    return f" at the revision {source.revision}" if source.revision else ""
