"""Every kind of file, one line each, by its ending. A reader is a module with ADVICE, `total(path)` and `rows(path)`."""

from pathlib import Path
from types import ModuleType

from core.data.readers import delimited, json_list, jsonl, parquet, plain
from core.errors import DataError

READERS: dict[str, ModuleType] = {
    ".jsonl": jsonl,
    ".json": json_list,
    ".csv": delimited,
    ".tsv": delimited,
    ".parquet": parquet,
    ".txt": plain,
}
KINDS = ", ".join(list(READERS)[:-1]) + f" or {list(READERS)[-1]}"


def reader_of(path: Path) -> ModuleType:
    """The reader for a file's ending; raises DataError for an unknown one."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path} is not a kind of file that can be read. Save it as {KINDS}.")
    return reader
