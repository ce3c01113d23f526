"""Begin with the adapter of an earlier run: find it, and see that the recipe asks for one of the same shape. No torch."""

from pathlib import Path
from typing import Any

from core import catalog, home
from core.errors import JobError
from core.files import read_json
from core.jobs.listing import known_job
from core.models.left_out import count_in
from core.plan.trainable import TARGETS
from core.recipe import Recipe
from core.training.methods import METHODS
from core.where import local_path

# What an adapter's configuration means by leaving a key out.
EMPTY: dict[str, Any] = {"rank_pattern": {}, "alpha_pattern": {}, "lora_bias": False}


def folder_of(name: str) -> Path:
    """The folder of `id`, `id@step` or of a path; raises JobError where there is no adapter."""
    folder = _of_run(name) or local_path(name)
    if (folder / "config.json").is_file():
        raise JobError(f"model.start_from: {name} is a whole model. Give its folder as model.source: {folder}")
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
    shaped_otherwise = [
        f"{path}: the adapter of {name} has {saved.get(key)}, and this recipe asks for {value}. Set it to {saved.get(key)}."
        for key, (path, value) in asked.items()
        if saved.get(key, EMPTY.get(key)) != value
    ]
    return [*_layer_problems(recipe, saved), *shaped_otherwise, *_target_problems(recipe, name, saved)]


def parent_of(recipe: Recipe) -> str | None:
    """The id of the run whose adapter this one begins with, named or by its folder, if it is a run."""
    if not (name := recipe.model.start_from):
        return None
    known = map(known_job, (name, name.rpartition("@")[0], _owner(local_path(name))))
    return next((job.id for job in known if job and job.kind == "train"), None)


def _owner(folder: Path) -> str | None:
    """The id of the job that a folder belongs to."""
    jobs = home.jobs_folder()
    return folder.relative_to(jobs).parts[0] if jobs in folder.parents else None


def is_run(name: str) -> bool:
    """Whether it names a run of this studio, or a checkpoint of one."""
    return known_job(name) is not None or known_job(name.rpartition("@")[0]) is not None


def _shape(recipe: Recipe) -> dict[str, tuple[str, Any]]:
    """Adapter configuration key -> the recipe's key and value."""
    lora, config = recipe.lora, METHODS[recipe.lora.method].config
    return {
        "r": ("lora.rank", lora.rank),
        "lora_alpha": ("lora.alpha", lora.alpha),
        "rank_pattern": ("lora.rank_pattern", lora.rank_pattern),
        "alpha_pattern": ("lora.alpha_pattern", lora.alpha_pattern),
        "use_rslora": ("lora.method (rslora)", config.get("use_rslora", False)),
        "use_dora": ("lora.method (dora)", config.get("use_dora", False)),
        "lora_bias": ("lora.bias", lora.bias),
    }


def _layer_problems(recipe: Recipe, saved: dict[str, Any]) -> list[str]:
    """An adapter fits the layers it was trained on; where it sits on few of them, it would be loaded beside the wrong ones."""
    theirs, ours = count_in(saved.get("base_model_name_or_path")), recipe.model.drop_layers
    parent = known_job(parent_of(recipe))
    if parent and not parent.damage:
        theirs = parent.recipe.model.drop_layers
    if theirs == ours:
        return []
    return [
        f"model.drop_layers: the adapter of {recipe.model.start_from} was trained with {theirs} layers left out, and this recipe "
        f"asks for {ours}. Set it to {theirs}."
    ]


def _target_problems(recipe: Recipe, name: str, saved: dict[str, Any]) -> list[str]:
    """What `all-linear` means is known for the catalog's models only; for others it is seen when the model is loaded."""
    targets, asked = saved.get("target_modules"), recipe.lora.targets
    if not isinstance(targets, list) or (asked == "all-linear" and catalog.model(recipe.model.source) is None):
        return []
    names = TARGETS[asked] if isinstance(asked, str) else asked
    if {target.rpartition(".")[2] for target in targets} == {target.rpartition(".")[2] for target in names}:
        return []
    wanted = asked if isinstance(asked, str) else ", ".join(asked)
    return [f"lora.targets: the adapter of {name} sits on {', '.join(sorted(targets))}, not on {wanted}."]


def _of_run(name: str) -> Path | None:
    job_id, _, step = name.rpartition("@")
    if job := known_job(name):
        return job.final or _newest(job)
    if step.isdecimal() and (job := known_job(job_id)):
        checkpoint = job.checkpoint_of(int(step))
        return checkpoint.folder if checkpoint else None
    return None


def _newest(job: Any) -> Path | None:
    return job.checkpoints[-1].folder if job.checkpoints else None
