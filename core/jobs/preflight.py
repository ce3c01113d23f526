"""What can be known before a job starts: is the model there, is the data there, is there room. No network, no torch."""

from collections.abc import Sequence
from pathlib import Path

from core import home
from core.data import unpaired
from core.data.formats.misfit import template_problem
from core.data.local_files import local_files
from core.data.named_file import named_file
from core.data.peek import peek
from core.errors import DataError, JobError, ModelError, StudioError
from core.hardware import machine
from core.jobs.folder import Job
from core.jobs.kinds import HEAVY, WITHOUT_MODEL
from core.jobs.listing import all_jobs
from core.jobs.tail import latest_of
from core.models.begun import left_out_of
from core.models.layer_range import layer_problems
from core.models.templates import template_text
from core.plan.plan import disk_bytes, smaller_bytes
from core.recipe import Recipe
from core.recipe_data import Source
from core.recipe_sections import ModelSection
from core.training import start, trackers
from core.where import Place, is_there, local_path, place_of

WEIGHT_FILES = ("*.safetensors", "*.safetensors.index.json")
LEAST_FREE_BYTES = 200_000_000


def check(recipe: Recipe, kind: str = "train") -> None:
    """Raise a StudioError that names every problem which would end the job at once."""
    if kind in WITHOUT_MODEL:
        _check_disk(0)  # how much a restore needs is known once its backup is found
        return
    if kind in home.ASKED:
        # About a run: it has its data prepared, and what it began with is in its result.
        _raise(_problems_of_model(recipe.model))
        return
    begin = [JobError(text) for text in [*start.problems(recipe), *trackers.problems(recipe)]]
    layers = [ModelError(text) for text in layer_problems(recipe).values()] if kind in HEAVY else []
    _raise([*_problems_of_model(recipe.model), *layers, *_problems_of_data(recipe.data.sources), *begin])
    _check_disk(disk_bytes(recipe) if kind in HEAVY else 0)


def check_rows(recipe: Recipe) -> None:
    """Raise a DataError that names every data set whose first rows show that preparing would end by it.

    It would end after the model was fetched, or in the queue at night. A look at files on this machine: none at the Hub.
    """
    looks = [peek(source) for source in recipe.data.sources]
    hopeless = [look.problem for look in looks if look and look.hopeless and look.problem]
    # Two tasks of one file have the same problem.
    found = dict.fromkeys([*hopeless, *unpaired.problems(recipe)])
    _raise([DataError(problem) for problem in found])


def check_room(recipes: Sequence[Recipe]) -> None:
    """Raise a JobError where runs that each find room do not find it together: what all of them save stays."""
    shared = {one.model.model_dump_json(): smaller_bytes(one) for one in recipes}
    own = sum(disk_bytes(one) - smaller_bytes(one) for one in recipes)
    _check_disk(own + sum(shared.values()), f"these {len(recipes)} runs need" if len(recipes) > 1 else "this needs")


def check_backup(recipe: Recipe) -> None:
    """Raise a JobError where another run of this machine is backed up in the repository, or waits to be.

    The Hub would refuse it when its turn came, in the queue at night.
    """
    wanted = recipe.checkpoints.hub_backup
    if other := next((job for job in all_jobs("train") if wanted and _backed_up_in(job, wanted)), None):
        raise JobError(
            f"checkpoints.hub_backup: {wanted} is for the backup of {other.id}, and a repository holds that of one run. "
            "Give another name under 'Back up to', or leave it empty."
        )


def _backed_up_in(job: Job, repository: str) -> bool:
    if job.damage or job.recipe.checkpoints.hub_backup != repository:
        return False
    return job.status.live or latest_of(job.files.events, "backup_claimed") is not None


def check_again(job: Job) -> None:
    """The same for a job that has waited or was stopped: what it has already prepared or saved it need not find again."""
    if job.kind in home.ASKED:
        check(job.recipe, job.kind)
        return
    key = job.prepared_key
    prepared = bool(key) and home.prepared_files(key).report.exists()
    data = [] if prepared else _problems_of_data(job.recipe.data.sources)
    reports = [JobError(text) for text in trackers.problems(job.recipe)]
    _raise([*_problems_of_model(job.recipe.model), *data, *reports])
    there = sum(checkpoint.size_bytes for checkpoint in job.checkpoints) + _smaller_model_there(job)
    _check_disk(max(0, disk_bytes(job.recipe) - there) if job.kind in HEAVY else 0)


def _smaller_model_there(job: Job) -> int:
    """Bytes of the model without layers that a run has begun with. Whoever has to write it again looks for room as well."""
    left_out = left_out_of(job)
    if not left_out or left_out.first is None:
        return 0
    return smaller_bytes(job.recipe) if home.pruned_folders(left_out.first, left_out.count) else 0


def _raise(problems: list[StudioError]) -> None:
    if problems:
        raise (problems[0] if len(problems) == 1 else StudioError("\n".join(str(problem) for problem in problems)))


def located(recipe: Recipe) -> Recipe:
    """The recipe with every local source as an absolute path, so that it means the same from any folder.

    Those in the studio's own folders stay `uploads/…` and `feedback/…`: so they mean the same on another machine too.
    """
    sources = [source.model_copy(update={"source": _absolute(source.source)}) for source in recipe.data.sources]
    data = recipe.data.model_copy(update={"sources": sources})
    begin = recipe.model.start_from
    here = {"start_from": _absolute(begin)} if begin and not start.is_run(begin) else {}
    model = recipe.model.model_copy(update={"source": _absolute(recipe.model.source)} | here)
    return recipe.model_copy(update={"data": data, "model": model})


def _absolute(source: str) -> str:
    if place_of(source) is not Place.LOCAL:
        return source
    path = local_path(source)
    ours = any(home.home() / folder in path.parents for folder in home.SOURCE_FOLDERS)
    return str(path.relative_to(home.home()) if ours else path)


def _problems_of_model(model: ModelSection) -> list[StudioError]:
    source, place = model.source, place_of(model.source)
    if place is Place.UNKNOWN:
        return [ModelError(f"{source!r} is no model: give a Hub id such as owner/name, a folder, or `starter`.")]
    unfit = _folder_problems(local_path(source)) if place is Place.LOCAL else []
    return [ModelError(text) for text in unfit] + _template_problems(model.chat_template)


def _template_problems(template: str | None) -> list[StudioError]:
    try:
        if template:
            template_text(template)
    except ModelError as error:
        return [error]
    return []


def _folder_problems(folder: Path) -> list[str]:
    if hindrance := _hindrance(folder) or ("" if folder.is_dir() else "is no folder"):
        return [f"The model folder {folder} {hindrance}. Check the path, or give a Hub id or `starter`."]
    if not is_there(folder / "config.json"):
        return [f"The folder {folder} has no config.json, so it is not a model. Choose the folder that holds one."]
    if not any(any(folder.glob(pattern)) for pattern in WEIGHT_FILES):
        return [f"The model folder {folder} has no weights: put its .safetensors files beside config.json."]
    return []


def _problems_of_data(sources: list[Source]) -> list[StudioError]:
    return [DataError(text) for source in sources for text in _source_problems(source)]


def _source_problems(asked: Source) -> list[str]:
    unfit = template_problem(asked)
    return _place_problems(asked.source) + _named_problems(asked) + ([unfit] if unfit else [])


def _named_problems(asked: Source) -> list[str]:
    try:
        if asked.file:
            named_file(asked)
    except DataError as error:
        return [str(error)]
    return []


def _place_problems(source: str) -> list[str]:
    place, path = place_of(source), local_path(source)
    if place is Place.UNKNOWN:
        return [f"{source!r} is no data set: give a Hub id such as owner/name, a file or folder, or `starter`."]
    if place is not Place.LOCAL:
        return []
    if hindrance := _hindrance(path):
        return [f"The data file {path} {hindrance}. Check the path in data.sources."]
    return _file_problems(path)


def _hindrance(path: Path) -> str | None:
    """Why nothing can be found at a path."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "is not there"
    except OSError as error:
        return f"cannot be read: {(error.strerror or 'unknown reason').lower()}"
    return None


def _file_problems(path: Path) -> list[str]:
    try:
        local_files(path)
    except DataError as error:
        return [str(error)]
    return []


def _check_disk(needed: int, who: str = "this needs") -> None:
    free = machine(home.home()).disk_free_bytes
    if free < needed + LEAST_FREE_BYTES:
        raise JobError(
            f"The disk has {free / 1e9:.1f} GB free, and {who} about {(needed + LEAST_FREE_BYTES) / 1e9:.1f} GB. "
            f"Make space under {home.home()}, or keep fewer checkpoints."
        )
