"""What a run has made: the folder of its result or of a checkpoint, and the step that it is of. No torch."""

from pathlib import Path

from core.errors import JobError
from core.jobs.folder import Job
from core.jobs.status import Status


def folder_of(run: Job, step: int | None, otherwise: str) -> Path:
    """The adapter or model of a run: its result, else its newest checkpoint, or the checkpoint of a step.

    Raises JobError; `otherwise` says what there is nothing for, such as `to compare with its base`.
    """
    checkpoint = run.checkpoint_of(step) if step else next(reversed(run.checkpoints), None)
    folder = run.final if step is None and run.final else checkpoint and checkpoint.folder
    if folder is None:
        what = f"no usable checkpoint of step {step:,}" if step else "neither a result nor a checkpoint yet"
        raise JobError(f"{run.name} has {what}, so there is nothing {otherwise}.")
    return folder


def step_of(run: Job, step: int | None = None) -> int:
    """How many steps had been trained when the weights in that folder were made; 0 where that is not known."""
    if step is not None:
        return step
    if not run.final:
        return run.checkpoints[-1].step if run.checkpoints else 0
    if run.recipe.training.load_best and run.status is Status.FINISHED and run.best_step:
        return run.best_step
    ended = (run.result or {}).get("step")
    return ended if isinstance(ended, int) else run.metrics.step
