"""Begin with the adapter of an earlier run: find it, and see that the recipe asks for one of the same shape. No torch."""

from pathlib import Path
from typing import Any

from core import home
from core.errors import JobError
from core.files import read_json
from core.jobs.listing import known_job
from core.recipe import Recipe
from core.training.plan import TARGETS
from core.where import local_path


def folder_of(name: str) -> Path:
    """The folder of `id`, `id@step` or of a path; raises JobError where there is no adapter."""
    folder = _of_run(name) or local_path(name)
    if not home.adapter_config(folder).is_file():
        raise JobError(f"model.start_from: {name} has no adapter. Give a run's id, `id@step`, or a folder with one.")
    return folder


def problems(recipe: Recipe) -> list[str]:
    """Why a recipe cannot begin with the adapter it names, a sentence each."""
    name = recipe.model.start_from
    if not name:
        return []
    try:
        saved = read_json(home.adapter_config(folder_of(name))) or {}
    except JobError as error:
        return [str(error)]
    asked = _shape(recipe)
    return [
        f"{path}: the adapter of {name} has {saved.get(key)}, and this recipe asks for {value}. Set it to {saved.get(key)}."
        for key, (path, value) in asked.items()
        if saved.get(key) != value
    ] + _target_problems(recipe, name, saved)


def parent_of(recipe: Recipe) -> str | None:
    """The id of the run whose adapter this one begins with, if it is a run."""
    name = recipe.model.start_from or ""
    return next((job.id for text in (name, name.rpartition("@")[0]) if (job := known_job(text))), None)


def is_run(name: str) -> bool:
    """Whether it names a run of this studio, or a checkpoint of one."""
    return known_job(name) is not None or known_job(name.rpartition("@")[0]) is not None


def _shape(recipe: Recipe) -> dict[str, tuple[str, Any]]:
    """Adapter configuration key -> the recipe's key and value."""
    lora = recipe.lora
    return {
        "r": ("lora.rank", lora.rank),
        "lora_alpha": ("lora.alpha", lora.alpha),
        "use_rslora": ("lora.method (rslora)", lora.method == "rslora"),
        "use_dora": ("lora.method (dora)", lora.method == "dora"),
    }


def _target_problems(recipe: Recipe, name: str, saved: dict[str, Any]) -> list[str]:
    targets = saved.get("target_modules")
    if not isinstance(targets, list) or {target.rpartition(".")[2] for target in targets} == set(
        TARGETS[recipe.lora.targets]
    ):
        return []
    return [f"lora.targets: the adapter of {name} sits on {', '.join(sorted(targets))}, not on {recipe.lora.targets}."]


def _of_run(name: str) -> Path | None:
    job_id, _, step = name.rpartition("@")
    if job := known_job(name):
        return job.files.adapter if job.files.adapter.is_dir() else _newest(job)
    if step.isdecimal() and (job := known_job(job_id)):
        checkpoint = job.checkpoint_of(int(step))
        return checkpoint.folder if checkpoint else None
    return None


def _newest(job: Any) -> Path | None:
    return job.checkpoints[-1].folder if job.checkpoints else None
