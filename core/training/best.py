"""What the held-out losses decide: when to stop early, which checkpoints to save for it, and whose adapter is the result.

All of it is read from the measurements in `metrics.jsonl`, so there is no counter that a resume could lose.
"""

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from core.jobs.checkpoint import Checkpoint
from core.jobs.folder import Job
from core.jobs.worker import Worker


class AlreadyEnded(Exception):
    """The run that was to go on had already come to its end, early or not."""


class HeldOutJudge(TrainerCallback):
    """Ends a training whose held-out loss has not fallen for `patience` measurements; saves each best one if asked."""

    def __init__(self, job: Job, patience: int | None, save_best: bool):
        self.patience, self.save_best = patience, save_best
        self.measured = dict(sorted(job.metrics.held_out_at.items()))
        self.first_step = 0

    @property
    def without_progress(self) -> int:
        """Measurements since the best one."""
        losses = [loss if math.isfinite(loss) else math.inf for loss in self.measured.values()]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    @property
    def ended(self) -> bool:
        return self.patience is not None and self.without_progress >= self.patience

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        self.first_step = state.global_step
        # At its last step transformers would train one more, but where that ends an epoch.
        if self.ended or state.global_step >= state.max_steps:
            raise AlreadyEnded

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kw: Any,
    ) -> None:
        step, loss = state.global_step, metrics["eval_loss"]
        # The measurement before the first step is the base model's, of which there is no checkpoint.
        best = min((old for at, old in self.measured.items() if 0 < at < step), default=math.inf)
        self.measured[step] = loss
        if self.save_best and step > 0 and loss < best:
            control.should_save = True
        if self.ended and step == self.first_step:
            raise AlreadyEnded
        if self.ended:
            control.should_save = control.should_training_stop = True


def best_checkpoint(worker: Worker) -> Checkpoint | None:
    """The checkpoint with the lowest held-out loss; None, with a warning, where it is broken or none was measured."""
    step = worker.job.best_step
    found = worker.job.checkpoint_of(step) if step is not None else None
    damage = found.damage(hashes=True) if found else "none was measured"
    if damage:
        worker.warning(
            f"training.load_best: the best checkpoint cannot be used: {damage}. The adapter is that of the last step."
        )
        return None
    return found
