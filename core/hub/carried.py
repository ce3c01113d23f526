"""The data files of a run that lie on this machine: which of them go along with its backup, and under which names."""

from dataclasses import dataclass
from pathlib import Path

from core.data.local_files import LocalFiles, local_files
from core.errors import DataError
from core.hub.manifest import DATA, may_stand
from core.jobs.folder import Job
from core.where import Place, local_path, place_of

# Of all data files together: larger ones are no matter of a checkpoint's backup.
MOST_BYTES = 100_000_000


@dataclass(frozen=True)
class Carried:
    """A data set that goes along: its name in the recipe, whether it is a folder, and path in the repository -> file."""

    source: str
    folder: bool
    files: dict[str, Path]


def carried(job: Job) -> tuple[list[Carried], list[str]]:
    """The local data sets of a run that go along, and a sentence for each that does not, as no local model does."""
    found, left, room = [], [], MOST_BYTES
    if place_of(job.recipe.model.source) is Place.LOCAL:
        left.append(_sentence(job.recipe.model.source, "a base model does not"))
    for number, source in enumerate(_local_sources(job)):
        try:
            here = local_files(local_path(source))
            size = sum(file.stat().st_size for file in here.files)
        except (DataError, OSError):
            left.append(_sentence(source, "it is not there any more"))
            continue
        if size > room:
            left.append(_sentence(source, f"of data files, up to {MOST_BYTES // 1_000_000} MB do"))
            continue
        if _changed(job, source, here):
            left.append(_sentence(source, "it was changed since the run began"))
            continue
        names = {f"{DATA}/{number}/{file.name}": file for file in here.files}
        if not all(map(may_stand, names)):
            left.append(_sentence(source, "a backup takes no files of such a name"))
            continue
        room -= size
        found.append(Carried(source, here.files != (here.path,), names))
    return found, left


def _local_sources(job: Job) -> list[str]:
    sources = (source.source for source in job.recipe.data.sources)
    return [source for source in dict.fromkeys(sources) if place_of(source) is Place.LOCAL]


def _changed(job: Job, source: str, here: LocalFiles) -> bool:
    """Whether the run read other contents than those that are there now."""
    known = job.resolved.get("data")
    rows = known if isinstance(known, list) else []
    before = next(
        (row.get("fingerprint") for row in rows if isinstance(row, dict) and row.get("source") == source), None
    )
    return before is not None and before != here.fingerprint()


def _sentence(source: str, why: str) -> str:
    return f"{source} does not go along with the backup: {why}. To restore the run elsewhere, bring it there yourself."
