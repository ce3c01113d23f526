"""Time of a training, by arithmetic: what has to be multiplied, over how fast the machine multiplies. No torch."""

import math
from dataclasses import dataclass, replace

from core.plan import fitted
from core.plan.activations import kept_bytes
from core.plan.pace import Pace
from core.plan.plan import eval_every, total_steps
from core.plan.setting import Setting
from core.plan.workload import Batch, Workload


@dataclass(frozen=True)
class TimePlan:
    """Seconds of a run by what it does."""

    startup_s: float
    step_s: float
    steps: int
    evaluation_s: float
    evaluations: int

    @property
    def total_s(self) -> float:
        return self.startup_s + self.steps * self.step_s + self.evaluations * self.evaluation_s

    def slower(self, times: float) -> "TimePlan":
        """The same work so many times as slow."""
        return replace(self, step_s=self.step_s * times, evaluation_s=self.evaluation_s * times)


def step_seconds(setting: Setting, work: Workload, pace: Pace) -> float:
    """One optimiser step: its batches, one after the other."""
    return setting.recipe.training.accumulation * batch_seconds(setting, work.usual, pace)


def batch_seconds(setting: Setting, batch: Batch, pace: Pace, learning: bool = True) -> float:
    """Forward and backward pass of one batch; without `learning`, forward only."""
    forward, backward = forward_flops(setting, batch), backward_flops(setting, batch) if learning else 0
    again = forward if setting.recomputes and learning else 0
    passes = (2 if learning else 1) + (1 if again else 0)
    layers = setting.shape.layers * fitted.LAYER_S[setting.device] * (passes + 1) / 3
    kept = kept_bytes(replace(setting, recipe=_keeping(setting)), batch)
    unpacking = passes * _unpacked(setting) / fitted.UNPACKED_PER_S[setting.device]
    return (
        (forward + backward + again) / pace.flops + kept * fitted.TRAFFIC * passes / 2 / pace.bytes + layers + unpacking
    )


def _keeping(setting: Setting):
    """The recipe without recomputing: the numbers of a layer are gone through whether they are kept or not."""
    training = setting.recipe.training.model_copy(update={"activation_checkpointing": "off"})
    return setting.recipe.model_copy(update={"training": training})


def forward_flops(setting: Setting, batch: Batch) -> float:
    """Two operations for every weight and token, attention over half of the row before, logits where there are labels."""
    shape, adapter = setting.shape, sum(module.weights for module in setting.adapted)
    logits = 2 * shape.hidden_size * shape.vocab_size * batch.labels
    return 2 * (shape.linear_parameters + adapter) * batch.tokens + _attention_flops(setting, batch) + logits


def backward_flops(setting: Setting, batch: Batch) -> float:
    """As much again for the gradients of what is fed in, and once more for those of what is trained."""
    shape, share = setting.shape, setting.layers_in_backward / setting.shape.layers
    inputs = 2 * shape.linear_parameters * batch.tokens * share + 2.5 * _attention_flops(setting, batch) * share
    logits = 2 * shape.hidden_size * shape.vocab_size * batch.labels
    if setting.method.whole:
        return inputs + 2 * shape.linear_parameters * batch.tokens + 2 * logits
    return inputs + logits + 4 * sum(module.weights for module in setting.adapted) * batch.tokens


def _attention_flops(setting: Setting, batch: Batch) -> float:
    seen = batch.longest if setting.padded else batch.longest / 2
    return 4 * setting.shape.layers * setting.shape.queries * seen * batch.tokens


def _unpacked(setting: Setting) -> int:
    """Weights that a pass turns back from 4 or 8 bits."""
    return setting.shape.linear_parameters if setting.method.bits < 16 else 0


def duration(
    setting: Setting, work: Workload, pace: Pace, rows: int | None, held_out_rows: int | None
) -> TimePlan | None:
    """The whole run; None where its steps are not known yet."""
    recipe = setting.recipe
    steps = total_steps(recipe, rows)
    if not steps:
        return None
    batches = math.ceil((held_out_rows or 0) / (recipe.training.batch * recipe.launcher.processes))
    return TimePlan(
        startup_s=fitted.STARTUP_S + 2 * setting.shape.parameters / fitted.LOAD_BYTES_PER_S,
        step_s=step_seconds(setting, work, pace),
        steps=steps,
        evaluation_s=batches * batch_seconds(setting, work.usual, pace, learning=False),
        evaluations=steps // eval_every(recipe, steps) + 1 if batches else 0,
    )
