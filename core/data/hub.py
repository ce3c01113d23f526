"""Data sets from the Hugging Face Hub, pinned to a commit; no code of theirs ever runs. Imports datasets: jobs only."""

import re
from pathlib import Path

import httpx2
from datasets import Dataset, DatasetBuilder, config, load_dataset, load_dataset_builder
from datasets.exceptions import DataFilesNotFoundError, DatasetGenerationError, DatasetNotFoundError
from datasets.packaged_modules.cache.cache import Cache
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from core.errors import DataError
from core.hub.download import Wanted, exactly, fetch
from core.hub.refusals import hub_errors_in_words
from core.models.progress import Progress, silent
from core.recipe_data import Source

ANSWER_WITHIN_S = 10
# A data set lies on the disk as its files and once more as rows, which take about as much.
AS_ROWS = 2


def load(source: Source, progress: Progress = silent) -> tuple[Dataset, str]:
    """The rows of a split and the commit they come from; raises DataError or HubError."""
    commit = commit_now(source)
    with hub_errors_in_words(source.source):
        rows, commit = _rows(source, commit, progress)
    return (rows.select(range(min(source.limit, len(rows)))) if source.limit else rows), commit


def _rows(source: Source, commit: str | None, progress: Progress) -> tuple[Dataset, str]:
    try:
        return (_fetched(source, commit, progress), commit) if commit else _kept(source)
    except (DatasetNotFoundError, DataFilesNotFoundError, ConnectionError, httpx2.TransportError):
        raise DataError(
            f"{source.source} is not on this machine and the Hub cannot be reached or is in trouble, or it holds no data "
            "files there. Check the connection, or use a file or the starter data."
        ) from None
    except RuntimeError as error:
        raise DataError(
            _program(source) if "scripts are no longer supported" in str(error) else _said(source, error)
        ) from None
    except ValueError as error:
        raise DataError(_said(source, error)) from None
    except DatasetGenerationError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise DataError(f"The files of {source.source} cannot be read as a table: {reason}") from error


def commit_now(source: Source) -> str | None:
    """The commit a revision means now; None if the Hub is not reached or in trouble, for the cache may have the data.

    Raises HubError where the Hub refuses.
    """
    with hub_errors_in_words(source.source, source.revision):
        try:
            commit = HfApi().dataset_info(source.source, revision=source.revision, timeout=ANSWER_WITHIN_S).sha
            # Anyone may look at a gated data set; only this tells whether its files may be read.
            HfApi().auth_check(source.source, repo_type="dataset")
            return commit
        except (httpx2.TransportError, OfflineModeIsEnabled):
            return None
        except HfHubHTTPError as error:
            if error.response.status_code < 500:
                raise
            return None


def _fetched(source: Source, commit: str, progress: Progress) -> Dataset:
    builder = load_dataset_builder(source.source, source.config, revision=commit)
    if not Path(builder.cache_dir).is_dir():
        files = [
            file.partition(f"@{commit}/")[2] for files in (builder.config.data_files or {}).values() for file in files
        ]
        fetch(Wanted(source.source, commit, exactly(files), "dataset", AS_ROWS), progress)
    return load_dataset(source.source, source.config, split=source.split, revision=commit)


def _kept(source: Source) -> tuple[Dataset, str]:
    """What was fetched before: at the commit that is asked for, or the newest; raises DataError where it is not here."""
    # The Hub did not answer a moment ago: half a minute of retries would not change that.
    config.HF_HUB_OFFLINE = True
    newest = load_dataset_builder(source.source, source.config)
    builder = newest if source.revision in (None, "main") else _at(source.revision, newest)
    if not Path(builder.cache_dir).is_dir():
        raise DataError(
            f"The Hub cannot be reached, and only the commit {newest.hash} of {source.source} is on this machine, not "
            f"{source.revision}. Check the connection, or give that one as the data set's revision."
        )
    return builder.as_dataset(split=source.split), builder.hash


def _at(commit: str, newest: DatasetBuilder) -> DatasetBuilder:
    """The same data set at another commit; its folder is there only if it was fetched. A tag means nothing without a Hub."""
    return Cache(
        repo_id=newest.repo_id,
        dataset_name=newest.dataset_name,
        config_name=newest.config.name,
        version=str(newest.config.version),
        hash=commit,
    )


def _program(source: Source) -> str:
    return (
        f"{source.source} needs a program of its own to be read, and data sets never run code here. Name one of its files in the "
        "data set's `file`, or download its files and give them as a file or folder."
    )


def _said(source: Source, error: Exception) -> str:
    """What datasets found wrong; of a configuration or a split it lists the ones there are."""
    said = " ".join(str(error).split())
    listed = re.search(r"\[(.*?)\]", said)
    there = ", ".join(re.findall(r"'([^']+)'", listed[1] if listed else "")) or "none"
    if "BuilderConfig" in said:
        return f"{source.source} has no configuration {source.config!r}; there are: {there}. Correct the data set's `config`."
    if "Config name is missing" in said:
        return f"{source.source} has several configurations: {there}. Choose one as the data set's `config`."
    if "Unknown split" in said:
        return f"{source.source} has no split {source.split!r}; there are: {there}. Correct the data set's `split`."
    return f"{source.source}: {said[:400]}"
