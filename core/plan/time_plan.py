"""Time of a training, by arithmetic: what has to be multiplied, over how fast the machine multiplies. No torch."""

import math
from dataclasses import dataclass, replace

from core.plan import fitted
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
    before_s: float = 0.0  # the held-out rows by the model as it was at the start, where the objective stays near that

    @property
    def total_s(self) -> float:
        return self.startup_s + self.steps * self.step_s + self.evaluations * self.evaluation_s + self.before_s

    def slower(self, times: float) -> "TimePlan":
        """The same work so many times as slow."""
        return replace(
            self, step_s=self.step_s * times, evaluation_s=self.evaluation_s * times, before_s=self.before_s * times
        )


def step_seconds(setting: Setting, work: Workload, pace: Pace) -> float:
    """One optimiser step: its batches, one after the other, and what the optimiser does."""
    batches = work.batches or setting.recipe.training.accumulation
    each = batch_seconds(setting, work.usual, pace)
    if setting.recipe.objective.reference:
        each += batch_seconds(setting, work.usual, pace, learning=False)
    return batches * each + _updating(setting, pace)


def _updating(setting: Setting, pace: Pace) -> float:
    if setting.device != "cpu":
        return setting.trainable * fitted.UPDATE_VISITS / pace.numbers
    slower = fitted.EIGHT_BIT_SLOWER if setting.recipe.training.optimizer.endswith("8bit") else 1
    return slower * setting.trainable / fitted.UPDATED_PER_S


def batch_seconds(setting: Setting, batch: Batch, pace: Pace, learning: bool = True) -> float:
    """Forward and backward pass of one batch; without `learning`, forward only."""
    forward, backward = forward_flops(setting, batch), backward_flops(setting, batch) if learning else 0
    again = forward if setting.recomputes and learning else 0
    # Passes through a layer, in halves of a forward and a backward one.
    passes = 1 + (setting.layers_in_backward / setting.shape.layers if learning else 0) + (1 if again else 0)
    slower = fitted.IMITATED_SLOWER if setting.imitated else 1
    multiplying = slower * (forward + backward + again) / pace.flops
    visiting = passes / 2 * visits(setting, batch, learning) / pace.numbers
    calling = passes / 2 * _called_s(setting) * fitted.CALLS_PER_S[setting.device] / pace.calls
    unpacking = passes * _unpacked(setting) / fitted.UNPACKED_PER_S[setting.device]
    working = multiplying + visiting + unpacking
    # A GPU computes while Python calls what comes next, but for the ends of a step, where one waits for the other.
    beside = fitted.BESIDE_CALLS if setting.device == "cuda" else 0
    return working + calling - beside * min(working, calling)


def _called_s(setting: Setting) -> float:
    """Seconds of all calls from Python, in a forward and a backward pass, on the host that they were measured on."""
    apart = 0 if setting.in_one_step else len(setting.adapted)
    unpacked = setting.shape.layers * len(setting.shape.projections) if setting.method.bits < 16 else 0
    each = (fitted.LAYER_S, setting.shape.layers), (fitted.ADAPTER_S, apart), (fitted.UNPACKING_S, unpacked)
    return sum(seconds[setting.device] * count for seconds, count in each)


def visits(setting: Setting, batch: Batch, learning: bool = True) -> float:
    """How often a number is gone through by anything but a product, in a forward and a backward pass."""
    shape, each = setting.shape, fitted.VISITS[setting.device]
    through = shape.layers * sum(map(sum, shape.projections.values()))
    in_one_step = sum(module.inputs + module.outputs for module in setting.adapted) if setting.in_one_step else 0
    drops = learning and bool(setting.recipe.lora.dropout)
    dropped = sum(module.inputs for module in setting.adapted) if drops else 0
    scores = shape.layers * shape.heads * _seen(setting, batch)
    scaled = sum(module.inputs * module.outputs for module in setting.adapted) if _scales(setting) else 0
    of_token = (
        each.through * through + each.plain * (through - in_one_step) + each.dropped * dropped + each.score * scores
    )
    return batch.tokens * of_token + each.scaled * scaled


def _scales(setting: Setting) -> bool:
    """DoRA takes the norm of every weight, with its adapter."""
    return bool(setting.method.config.get("use_dora"))


def forward_flops(setting: Setting, batch: Batch) -> float:
    """Two operations for every weight and token, attention over half of the row before, logits where there are labels."""
    shape, adapter = setting.shape, sum(module.weights for module in setting.adapted)
    logits = 2 * shape.hidden_size * shape.vocab_size * batch.labels
    return 2 * (shape.linear_parameters + adapter) * batch.tokens + _attention_flops(setting, batch) + logits


def backward_flops(setting: Setting, batch: Batch) -> float:
    """As much again for the gradients of what is fed in, and once more for those of what is trained.

    The logits of pairs are made again first (`core/training/likelihood.py`).
    """
    shape, share = setting.shape, setting.layers_in_backward / setting.shape.layers
    inputs = 2 * shape.linear_parameters * batch.tokens * share + 2.5 * _attention_flops(setting, batch) * share
    of_logits = 2 * shape.hidden_size * shape.vocab_size * batch.labels
    again = of_logits if setting.recipe.objective.pairs else 0
    if setting.method.whole:
        return inputs + 2 * shape.linear_parameters * batch.tokens + 2 * of_logits + again
    return inputs + of_logits + again + 4 * sum(module.weights for module in setting.adapted) * batch.tokens


def _attention_flops(setting: Setting, batch: Batch) -> float:
    return 4 * setting.shape.layers * setting.shape.queries * _seen(setting, batch) * batch.tokens


def _seen(setting: Setting, batch: Batch) -> float:
    """Tokens that one attends to, computed for nothing or not."""
    return batch.longest if setting.padded else batch.longest / 2


def _unpacked(setting: Setting) -> int:
    """Weights that a pass turns back from 4 or 8 bits."""
    return setting.shape.linear_parameters if setting.method.bits < 16 else 0


def duration(setting: Setting, work: Workload, pace: Pace, rows: int | None, held_out: float) -> TimePlan | None:
    """The whole run, with `held_out` seconds for each measurement; None where its steps are not known yet."""
    recipe = setting.recipe
    steps = total_steps(recipe, rows)
    if not steps:
        return None
    return TimePlan(
        startup_s=fitted.STARTUP_S + 2 * setting.shape.parameters / fitted.LOAD_BYTES_PER_S,
        step_s=step_seconds(setting, work, pace),
        steps=steps,
        evaluation_s=held_out,
        evaluations=math.ceil(steps / eval_every(recipe, steps)) + 1 if held_out else 0,
        before_s=held_out if recipe.objective.reference else 0.0,
    )


def held_out_seconds(setting: Setting, usual: Batch, pace: Pace, rows: int | None) -> float:
    """One measurement of so many held-out rows, in batches as the usual one of those that are not packed."""
    training, processes = setting.recipe.training, setting.recipe.launcher.processes
    return math.ceil((rows or 0) / (training.batch * processes)) * batch_seconds(setting, usual, pace, learning=False)
