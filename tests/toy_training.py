"""Trainings of the toy model inside the test's own process: seconds, with every part of the real thing."""

from pathlib import Path

from core import home
from core.files import append_line
from core.jobs.folder import Job
from core.jobs.worker import Worker
from core.recipe import Recipe, parse
from core.recipe_yaml import to_yaml
from core.training import run as training


class StopsAt(Worker):
    """A worker that is asked to stop once a step has been reported."""

    def __init__(self, job: Job, step: int | None = None):
        self.stop_at = step
        super().__init__(job)

    @property
    def stop_requested(self) -> bool:
        return self.stop_at is not None and self.job.metrics.step >= self.stop_at

    @stop_requested.setter
    def stop_requested(self, value: bool) -> None:
        """Only the steps decide."""


def toy_recipe(model: Path, **sections) -> Recipe:
    """Dropout, cosine schedule, accumulation, held-out losses: everything a resume has to restore."""
    training = {"max_steps": 12, "batch": 2, "accumulation": 2, "learning_rate": 1e-3, "eval_every": 5}
    return parse(
        {
            "name": "toy",
            "model": {"source": str(model)} | sections.get("start", {}),
            "data": {"sources": [{"source": "starter", "limit": 20}], "max_length": 400} | sections.get("data", {}),
            "lora": {"dropout": 0.1, "rank": 4, "alpha": 8} | sections.get("lora", {}),
            "training": training | sections.get("training", {}),
            "checkpoints": {"every_steps": 4, "keep": 5} | sections.get("checkpoints", {}),
        }
    )


def new_folder(recipe: Recipe, name: str = "20260101-000000-toy") -> Job:
    """A job folder as the launcher makes it."""
    job = Job(home.job_folder(name))
    job.folder.mkdir(parents=True)
    job.files.recipe.write_text(to_yaml(recipe))
    append_line(job.files.events, {"time": 1.0, "event": "created", "kind": "train"})
    return job


def train(job: Job, stop_at: int | None = None) -> Job:
    """Do the job, or go on with it, up to a step."""
    training.run(StopsAt(job, stop_at))
    return job


def resume(job: Job, step: int | None = None, stop_at: int | None = None) -> Job:
    """What the launcher's resume does, without a process."""
    append_line(job.files.events, {"time": 2.0, "event": "resuming", "step": step, "before_s": 1.0})
    job.files.result.unlink(missing_ok=True)
    return train(job, stop_at)


def adapter_bytes(job: Job) -> bytes:
    return (job.files.adapter / "adapter_model.safetensors").read_bytes()


def curve(job: Job) -> dict[str, list[float]]:
    """Everything a curve shows that does not depend on the clock."""
    metrics = job.metrics
    found = {name: list(metrics[name]) for name in ("step", "epoch", "loss", "learning_rate", "grad_norm")}
    return found | {"held_out": list(zip(metrics.held_out_step, metrics.held_out_loss, strict=True))}
