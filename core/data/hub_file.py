"""One file of a data set's repository on the Hub, for the studio's own readers: no program of the repository's is needed."""

from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from core.data.hub import commit_now
from core.data.named_file import named_file
from core.errors import DataError
from core.hub.refusals import hub_errors_in_words
from core.recipe_data import Source


def fetch(source: Source) -> tuple[Path, str]:
    """The file on this machine and the commit it comes from; without a Hub, what was fetched before. Raises DataError or HubError."""
    name, online = named_file(source), commit_now(source) is not None
    with hub_errors_in_words(source.source, source.revision):
        found = Path(_downloaded(source, name, online))
    return found, found.parents[name.count("/")].name


def _downloaded(source: Source, name: str, online: bool) -> str:
    try:
        # By the revision's own name: only so is a branch found again without the Hub.
        return hf_hub_download(
            source.source, name, repo_type="dataset", revision=source.revision, local_files_only=not online
        )
    except LocalEntryNotFoundError:
        raise DataError(
            f"The file {name} of {source.source} is not on this machine{_at(source)}, and the Hub cannot be reached. Check the "
            "connection, or use a file or the starter data."
        ) from None
    except EntryNotFoundError:
        raise DataError(
            f"{source.source} has no file {name}{_at(source)}. Check the data set's `file`, `config` and `split`."
        ) from None


def _at(source: Source) -> str:
    return f" at the revision {source.revision}" if source.revision else ""
