"""Data files of a restored run, put among those of this machine: what is there under the same name is never touched."""

import hashlib
import shutil
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from core import home
from core.files import write_whole
from core.hub.manifest import CarriedData
from core.jobs.folder import Job
from core.recipe import Recipe
from core.recipe_yaml import to_yaml


def place(job: Job, data: list[CarriedData], aside: Path, keep_backup: bool) -> None:
    """Put the files in place, and let the recipe of a job folder name them as they are called here."""
    named = {one.source: _place(one, [aside / path for path in one.files]) for one in data}
    recipe = _with_names(job.recipe, named)
    if not keep_backup:
        recipe = recipe.without_backup()
    if recipe != job.recipe:
        write_whole(job.files.recipe, to_yaml(recipe))


def _with_names(recipe: Recipe, named: dict[str, str]) -> Recipe:
    sources = [
        source.model_copy(update={"source": named.get(source.source, source.source)}) for source in recipe.data.sources
    ]
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"sources": sources})})


def _place(one: CarriedData, files: list[Path]) -> str:
    """What it is called here: by its own name, or where that is taken by others, with a part of its hash."""
    folder = home.feedback_folder() if PurePath(one.source).parts[0] == "feedback" else home.uploads_folder()
    name = PurePath(one.source).name
    for called in (name, f"{PurePath(name).stem}-{_digest(files)[:8]}{PurePath(name).suffix}"):
        target = home.inside(folder, called)
        if not target.exists():
            _bring(one, files, target)
        if _same(one, files, target):
            return f"{folder.name}/{called}"
    raise FileExistsError(target)  # somebody wrote other contents under a name made of this hash


def _bring(one: CarriedData, files: list[Path], target: Path) -> None:
    """Copied into a hidden folder and then moved: of what a full disk cuts short nothing may stay."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=".") as aside:
        copy = Path(aside) / target.name
        if one.folder:
            copy.mkdir()
        for file in files:
            shutil.copy2(file, copy / file.name if one.folder else copy)
        copy.rename(target)


def _same(one: CarriedData, files: list[Path], target: Path) -> bool:
    """Whether what lies there is just this."""
    if one.folder != target.is_dir():
        return False
    there = sorted(target.iterdir()) if one.folder else [target]
    names = one.folder and [file.name for file in there] != sorted(file.name for file in files)
    return not names and _digest(there) == _digest(sorted(files, key=lambda file: file.name))


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
