"""The file of a Hub repository that a source names, with its configuration and split in place of the braces."""

from pathlib import PurePosixPath

from core.data.braces import placeholders, put_in
from core.data.readers.table import reader_of
from core.errors import DataError
from core.recipe_data import Source
from core.where import Place, place_of


def named_file(source: Source) -> str:
    """The file's path in the repository; raises DataError where it cannot be one that is read."""
    given = {"config": source.config, "split": source.split}
    names = placeholders(source.file or "")
    if place_of(source.source) is not Place.HUB:
        raise DataError(f"{source.source} is not on the Hub, so it has no file {source.file!r}. Take `file` out.")
    if unknown := [name for name in names if not given.get(name)]:
        raise DataError(
            f"{source.source}: nothing stands for {{{unknown[0]}}} in the file {source.file!r}. Give the data set's `config` and "
            "`split`, which are all that can stand in braces."
        )
    path = PurePosixPath(put_in(source.file or "", given))
    if path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"{source.source}: the file {str(path)!r} is none of the repository's. Name it from its top folder on."
        )
    reader_of(path)
    return str(path)
