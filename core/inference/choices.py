"""Who can be chatted with, and what each model id stands for. Reads files only; torch never."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from core import catalog
from core.files import read_json
from core.jobs.folder import Job
from core.jobs.listing import all_jobs, known_job
from core.models.begun import left_out_of, revision_of
from core.models.left_out import LeftOut
from core.models.starter import HUB_ID
from core.where import Place, local_path, place_of

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True)
class ChatModel:
    """One entry of the model picker. A base's id is its source, a run's `JOB_ID`, a checkpoint's `JOB_ID@STEP`."""

    id: str
    label: str
    tuned: bool
    base: str
    job_id: str | None = None
    step: int | None = None
    drop_layers: int = 0  # that its base is without
    unseen: bool = False  # on the Hub, named by a person: whether it is a base or an adapter, only the engine finds out


@dataclass(frozen=True)
class Target:
    """What has to be loaded for a model id: a base, the template it is asked with, perhaps an adapter on it."""

    source: str
    revision: str | None = None  # of a run's own model, when it was written
    chat_template: str | None = None
    spare_template: str | None = None  # for a base without a template of its own
    adapter: Path | None = None
    code: bool = False  # whether the base's own Python files may run, as the run's recipe says
    left_out: LeftOut | None = None  # layers of the base that an adapter knows nothing of


def choices() -> list[ChatModel]:
    """Everything that can answer: the runs, newest first, each with its checkpoints; then the bases."""
    jobs = _readable_runs()
    names = Counter(job.name for job in jobs)
    tuned = [model for job in jobs for model in _models_of(job, names[job.name] > 1)]
    sources = dict.fromkeys([*(job.recipe.model.source for job in jobs), "starter"])
    return tuned + [ChatModel(source, base_label(source), tuned=False, base=source) for source in sources]


def told_apart(known: dict[str, ChatModel]) -> dict[str, ChatModel]:
    """No two labelled alike, by their ids: two folders called `final`, two runs of one name and minute."""
    times = Counter(model.label for model in known.values())
    ambiguous = {name: model for name, model in known.items() if times[model.label] > 1}
    return known | {name: replace(model, label=f"{model.label} ({name})") for name, model in ambiguous.items()}


def named(source: str) -> ChatModel | None:
    """A model or adapter that no list has: a Hub id or a folder, as a person names it; None where it can be neither."""
    if not _is_base(source):
        return None
    under = _base_under(local_path(source)) if place_of(source) is Place.LOCAL else None
    unseen = place_of(source) is Place.HUB
    return ChatModel(source, base_label(source), tuned=under is not None, base=under or source, unseen=unseen)


def target_of(model_id: str) -> Target | None:
    """What a model id stands for; None if nothing here has that id."""
    job_id, _, step = model_id.rpartition("@")
    if job := known_job(model_id):
        return _tuned_target(job, job.final) if job.final else None
    if step.isdecimal() and (job := known_job(job_id)):
        checkpoint = job.checkpoint_of(int(step))
        return _tuned_target(job, checkpoint.folder) if checkpoint else None
    return _base_target(model_id)


def run_of(model_id: str) -> Job | None:
    """The run whose result or checkpoint a model id is; None for a base, or an adapter that is no run's."""
    return known_job(model_id) or known_job(model_id.rpartition("@")[0])


def base_label(source: str) -> str:
    """A base's name for people: the catalog's, a folder's own, or the Hub id."""
    if known := catalog.model(source):
        return known.name
    return local_path(source).name if place_of(source) is Place.LOCAL else source


def _readable_runs() -> list[Job]:
    return [job for job in all_jobs("train") if not job.damage]


def _models_of(job: Job, ambiguous: bool) -> Iterator[ChatModel]:
    """The final adapter or model, then the checkpoints, newest first."""
    name = f"{job.name} ({datetime.fromtimestamp(job.created):%d %b %H:%M})" if ambiguous else job.name
    base, dropped = job.recipe.model.source, job.recipe.model.drop_layers
    if job.final and (_is_adapter(job.final) or _is_model(job.final)):
        yield ChatModel(job.id, name, True, base, job.id, drop_layers=dropped)
    for checkpoint in reversed(job.checkpoints):
        label = f"{name} · step {checkpoint.step:,}"
        yield ChatModel(f"{job.id}@{checkpoint.step}", label, True, base, job.id, checkpoint.step, dropped)


def _tuned_target(job: Job, folder: Path) -> Target | None:
    """An adapter on the run's base; a model that was trained as a whole is a base of its own."""
    if job.damage:
        return None
    model = job.recipe.model
    if _is_adapter(folder):
        base = Target(model.source, revision_of(job), model.chat_template, code=model.trust_remote_code)
        return replace(base, adapter=folder, left_out=left_out_of(job))
    if _is_model(folder):
        return Target(str(folder), _written(folder), model.chat_template, code=model.trust_remote_code)
    return None


def _base_target(source: str) -> Target | None:
    """A base answers at the revision of its newest run, so that the two share the weights in memory."""
    if not _is_base(source):
        return None
    job = next((job for job in _readable_runs() if job.recipe.model.source == source), None)
    if job is None:
        return Target(source)
    model = job.recipe.model
    return Target(source, revision_of(job), spare_template=model.chat_template, code=model.trust_remote_code)


def _is_base(source: str) -> bool:
    """Whether it can be loaded as it is named; a folder or a repository may turn out to be an adapter."""
    place = place_of(source)
    return place in (Place.STARTER, Place.HUB) or (place is Place.LOCAL and _is_named(local_path(source)))


def _is_named(folder: Path) -> bool:
    """A folder that says it is a model or an adapter; what is missing in it, whoever loads it says."""
    return (folder / "config.json").exists() or _is_adapter(folder)


def _base_under(folder: Path) -> str | None:
    """What an adapter says it belongs to; None for what is no adapter."""
    config = read_json(folder / ADAPTER_FILES[0]) if _is_adapter(folder) else None
    base = (config or {}).get("base_model_name_or_path")
    return here(base) if isinstance(base, str) else None


def here(base: str) -> str:
    """A base as it is called here: the starter has another name for others, which its runs write into their adapters."""
    return "starter" if base == HUB_ID else base


def _written(folder: Path) -> str:
    """When a run has written its model: one that goes on writes another to the same place."""
    return str(max(file.stat().st_mtime_ns for file in folder.glob("*.safetensors")))


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").exists() and any(folder.glob("*.safetensors"))


def _is_adapter(folder: Path) -> bool:
    return all((folder / name).exists() for name in ADAPTER_FILES)
