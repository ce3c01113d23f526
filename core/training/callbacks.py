"""How a training speaks: it appends lines to the job folder and does not know who reads them."""

import math
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from core.jobs.worker import Worker
from core.training.checkpoints import prune, publish
from core.training.device import Device
from core.training.model import make_portable


class Reporter(TrainerCallback):
    """Loss, speed, memory and time left as lines of `metrics.jsonl`; held-out losses as events too."""

    def __init__(self, worker: Worker, device: Device):
        self.worker = worker
        self.device = device
        self.supervised_tokens = 0
        self.best = math.inf
        self._counted_tokens = self._counted_s = self._busy_s = self._step_began = self._began = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        self._began = time.monotonic()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        self._step_began = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        self._busy_s += time.monotonic() - self._step_began

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **kw: Any
    ) -> None:
        if "loss" not in logs:
            return
        elapsed = time.monotonic() - self._began
        self.worker.metric(
            step=state.global_step,
            epoch=logs.get("epoch"),
            loss=logs["loss"],
            learning_rate=logs.get("learning_rate"),
            grad_norm=logs.get("grad_norm"),
            tokens_per_s=self._speed(),
            memory_bytes=self.device.memory_bytes(),
            elapsed_s=round(elapsed, 3),
            left_s=round(elapsed / state.global_step * (state.max_steps - state.global_step), 3),
        )

    def _speed(self) -> float | None:
        """Supervised tokens a second since the last report, evaluation and saving left out."""
        tokens, seconds = self.supervised_tokens - self._counted_tokens, self._busy_s - self._counted_s
        self._counted_tokens, self._counted_s = self.supervised_tokens, self._busy_s
        return round(tokens / seconds, 1) if seconds else None

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kw: Any,
    ) -> None:
        loss = metrics["eval_loss"]
        self.worker.metric(step=state.global_step, held_out_loss=loss)
        best, self.best = loss < self.best, min(loss, self.best)
        shown = loss if math.isfinite(loss) else None
        self.worker.event("held_out", step=state.global_step, loss=shown, best=best)


class Stopper(TrainerCallback):
    """A requested stop ends the training after the step, with a checkpoint."""

    def __init__(self, worker: Worker):
        self.worker = worker

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        if self.worker.stop_requested:
            control.should_save = True
            control.should_training_stop = True


class Publisher(TrainerCallback):
    """What the trainer has saved becomes a checkpoint of the job."""

    def __init__(self, worker: Worker, keep: int, versions: dict[str, str]):
        self.worker = worker
        self.keep = keep
        self.versions = versions

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        written = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        make_portable(written, self.worker.job.recipe)
        size = publish(written, self.worker.job, state.global_step, self.versions)
        self.worker.event("checkpoint", step=state.global_step, size_bytes=size)
        prune(self.worker.job, self.keep)
