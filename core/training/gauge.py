"""Measure a training while it runs: its batches, its time, its memory; remembered for the next plan once it ends."""

import time
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from core.data.tokens import IGNORED
from core.plan import measured
from core.plan.measured import Measurement
from core.plan.workload import Batch
from core.training.measurement import measurement
from core.training.peak import peak_bytes
from core.training.probe_recipe import UNTIMED
from core.training.session import Session

# A step or two say nothing.
LEAST_TIMED_STEPS = 2


class Gauge(TrainerCallback):
    """Sees every batch of training before it is computed, and the clock around every step."""

    def __init__(self, session: Session):
        self.session = session
        self.largest = Batch(0, 0, 0)
        self.pending: list[Batch] = []
        self.timed: list[Batch] = []
        self.timed_s = self._began = 0.0
        self.steps = 0

    def see(self, batches: list[dict[str, torch.Tensor]]) -> None:
        """The batches of the step that comes."""
        self.pending = [_batch(inputs) for inputs in batches]
        for batch in self.pending:
            self.largest = Batch(*(max(pair) for pair in zip(_numbers(self.largest), _numbers(batch), strict=True)))

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        self._began = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        self.steps += 1
        if self.steps > UNTIMED:
            self.timed_s += time.monotonic() - self._began
            self.timed += self.pending

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kw: Any) -> None:
        if not state.is_world_process_zero:
            return
        peak = peak_bytes(self.session.device)
        self.session.worker.resolve(peak_memory_bytes=peak)
        if self.steps - UNTIMED >= LEAST_TIMED_STEPS and args.world_size == 1:
            measured.keep(self._measurement(peak))

    @property
    def step_s(self) -> float:
        """Seconds of a whole step on the average: the last of an epoch may have had fewer batches."""
        return self.timed_s / len(self.timed) * self.session.micro.accumulation

    def _measurement(self, peak: int) -> Measurement:
        columns = zip(*map(_numbers, self.timed), strict=True)
        usual = Batch(*(sum(column) / len(self.timed) for column in columns))
        source = "probe" if self.session.job.kind == "probe" else "run"
        found = {"largest": self.largest, "usual": usual, "peak_bytes": peak, "step_s": self.step_s}
        return measurement(self.session, source, **found)


def _batch(inputs: dict[str, torch.Tensor]) -> Batch:
    """What a batch holds, padding included."""
    ids, labels = inputs["input_ids"], inputs["labels"]
    return Batch(ids.numel(), int((labels != IGNORED).sum()), _longest(inputs, ids))


def _longest(inputs: dict[str, torch.Tensor], ids: torch.Tensor) -> int:
    """Tokens of the longest conversation; those that lie in one row each begin at position 0."""
    if "position_ids" not in inputs:
        return ids.shape[-1]
    return int(inputs["position_ids"].max()) + 1


def _numbers(batch: Batch) -> tuple[float, float, float]:
    return batch.tokens, batch.labels, batch.longest
