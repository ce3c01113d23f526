"""How a training speaks: it appends lines to the job folder and does not know who reads them."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from core.errors import JobError
from core.jobs.worker import StopRequested, Worker
from core.training.device import Device
from core.training.divergence import Divergence


class Reporter(TrainerCallback):
    """Loss, speed, memory and time left as lines of `metrics.jsonl`; held-out losses as events too.

    The trainer reports every step; a line is the mean of `log_every` of them. What is not yet written travels in the
    checkpoint, so that a resumed run writes the very same lines.
    """

    def __init__(self, worker: Worker, device: Device, log_every: int, saved: dict[str, Any]):
        self.worker = worker
        self.device = device
        self.log_every = log_every
        self.supervised_tokens = 0
        self.window: list[float] = list(saved.get("window", []))
        self.preferred: list[float] = list(saved.get("preferred", [0, 0]))
        self.chosen: list[float] = [0, 0]
        self.elapsed_before_s = float(saved.get("elapsed_s", 0.0))
        self.divergence = Divergence(worker.job, saved.get("beginning"))
        self.best = worker.job.metrics.best_held_out_loss or math.inf
        self.first_step = self._counted_tokens = 0
        self._counted_s = self._busy_s = self._step_began = 0.0
        self._began = time.monotonic()
        self._stepping_since: float | None = None

    def saved(self) -> dict[str, Any]:
        """What a checkpoint keeps of this: the losses and pairs that are in no line yet, what is in none, and the seconds so far."""
        of_pairs = {"preferred": self.preferred, "beginning": self.divergence.beginning}
        return {"window": self.window, "elapsed_s": self.elapsed_s} | of_pairs

    def saw(self, preferred: float, pairs: float, chosen: float, tokens: float) -> None:
        """Some pairs were learned from: of how many the chosen answer was preferred, and the loss of those answers, summed."""
        self.preferred = [self.preferred[0] + preferred, self.preferred[1] + pairs]
        self.chosen = [self.chosen[0] + chosen, self.chosen[1] + tokens]

    @property
    def elapsed_s(self) -> float:
        """Seconds of training, those before the resume included."""
        return round(self.elapsed_before_s + time.monotonic() - self._began, 3)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        self._began, self.first_step = time.monotonic(), state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        self._busy_s += time.monotonic() - self._step_began
        # Whatever the interval: what it became is measured.
        control.should_evaluate |= state.global_step == state.max_steps and args.eval_strategy != "no"

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        self._step_began = time.monotonic()
        if self._stepping_since is None:
            self._stepping_since = self._step_began

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **kw: Any
    ) -> None:
        # The trainer keeps all it logged and would write it into every checkpoint; the lines are in `metrics.jsonl`.
        state.log_history.clear()
        if "loss" not in logs:
            return
        self.window.append(logs["loss"])
        if state.global_step % self.log_every == 0 or state.global_step == state.max_steps:
            self._write(state, logs)
        if self.divergence.hopeless(state.global_step, self._of_answers(logs["loss"])):
            raise JobError(self.divergence.sentence())

    def _of_answers(self, loss: float) -> float:
        """The loss of a step, or of its chosen answers where it had pairs."""
        chosen, tokens = self.chosen
        self.chosen = [0, 0]
        return chosen / tokens if tokens and math.isfinite(loss) else loss

    def _write(self, state: TrainerState, logs: dict[str, float]) -> None:
        self.worker.metric(
            step=state.global_step,
            epoch=logs.get("epoch"),
            loss=sum(self.window) / len(self.window),
            learning_rate=logs.get("learning_rate"),
            grad_norm=logs.get("grad_norm"),
            tokens_per_s=self._speed(),
            memory_bytes=self.device.memory_bytes(),
            elapsed_s=self.elapsed_s,
            left_s=self._left_s(state),
            **self._preferred(),
        )
        self.window.clear()

    def _preferred(self) -> dict[str, float]:
        """The share of pairs since the last report of which the chosen answer was preferred; nothing where there were none."""
        preferred, pairs = self.preferred
        self.preferred = [0, 0]
        return {"preferred": preferred / pairs} if pairs else {}

    def _left_s(self, state: TrainerState) -> float:
        """Seconds for the steps that are left, at the pace of those this process has done."""
        done = state.global_step - self.first_step
        taken = time.monotonic() - (self._began if self._stepping_since is None else self._stepping_since)
        return round(taken / done * (state.max_steps - state.global_step), 3)

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
        metrics: dict[str, Any],
        **kw: Any,
    ) -> None:
        loss = metrics["eval_loss"]
        preferred = {"preferred": metrics["preferred"]} if metrics.get("preferred") is not None else {}
        self.worker.metric(step=state.global_step, held_out_loss=loss)
        answers = metrics.get("answers")
        self.divergence.measured(state.global_step, loss if answers is None else answers)
        best, self.best = loss < self.best, min(loss, self.best)
        shown = loss if math.isfinite(loss) else None
        of_each = {name: value for name, value in metrics.get("sources", {}).items() if math.isfinite(value)}
        self.worker.event("held_out", step=state.global_step, loss=shown, best=best, sources=of_each, **preferred)


class EvaluationCut(Exception):
    """A stop was asked for while the held-out loss was measured."""


class Stopper(TrainerCallback):
    """A requested stop ends the training after the step, with a checkpoint; a measurement is cut short."""

    def __init__(self, asked: Callable[[], bool]):
        self.asked = asked

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        if agreed(self.asked(), args.device):
            control.should_save = True
            control.should_training_stop = True

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any
    ) -> None:
        if agreed(self.asked(), args.device):
            raise EvaluationCut

    @staticmethod
    def after_the_cut(first_step: int, state: TrainerState, control: TrainerControl) -> None:
        """Save what was trained; where this process has trained nothing yet, end at once. Raises StopRequested."""
        if state.global_step == first_step:
            raise StopRequested
        # At the end of an epoch it would be measured, cut and saved once more.
        control.should_evaluate = False
        control.should_save = True
        control.should_training_stop = True


class MinuteSaver(TrainerCallback):
    """A checkpoint every so many minutes, whatever the steps say."""

    def __init__(self, minutes: float):
        self.every_s = minutes * 60
        self._last = time.monotonic()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        self._last = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        if agreed(time.monotonic() - self._last >= self.every_s, args.device):
            control.should_save = True


def agreed(wish: bool, device: torch.device) -> bool:
    """Whether any process of this training wishes it: all of them have to do the same in the same step."""
    if not distributed.is_initialized():
        return wish
    wishes = torch.tensor(int(wish), device=device)
    distributed.all_reduce(wishes, distributed.ReduceOp.MAX)
    return bool(wishes)
