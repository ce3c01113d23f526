"""Correct what was computed by what was measured: on this device, with this model, in the manner nearest to the asked one."""

import math
from dataclasses import dataclass
from typing import Literal

from core.hardware import Machine
from core.plan.measured import Measurement, measurements
from core.plan.memory_plan import PARTS, MemoryPlan, memory
from core.plan.pace import Pace
from core.plan.setting import Setting, as_asked
from core.plan.time_plan import step_seconds
from core.plan.workload import Workload
from core.recipe import Recipe

# A plan within so much of the measured setting's is called measured.
SAME = 0.02
# What grows with the batch is corrected by what was measured, but never by more than this times.
FURTHEST = 2.0


@dataclass(frozen=True)
class Basis:
    """Where a figure comes from: `measured` this very setting, `scaled` from a measurement of another, or computed alone."""

    kind: Literal["computed", "scaled", "measured"]
    measurement: Measurement | None = None


COMPUTED = Basis("computed")


@dataclass(frozen=True)
class Known:
    """A measurement with what the arithmetic says of the same setting."""

    measurement: Measurement
    memory: MemoryPlan
    step_s: float

    @property
    def excess_bytes(self) -> float:
        """What was held beyond what was computed."""
        return self.measurement.peak_bytes - self.memory.peak_bytes

    @property
    def times_slower(self) -> float | None:
        """None for one that was never over."""
        return self.measurement.step_s and self.measurement.step_s / self.step_s


def known(asked: Setting, machine: Machine, pace: Pace) -> list[Known]:
    """The measurements that say something of this setting: of the same objective, precision, bits and way to keep activations."""
    found = []
    for measurement in measurements(machine.device_name, asked.recipe.model.source):
        measured = as_asked(measurement.recipe, machine)
        if measured and _manner(measured) == _manner(asked):
            work = Workload(measurement.largest, measurement.usual, counted=True)
            found.append(Known(measurement, memory(measured, work), step_seconds(measured, work, pace)))
    return found


def _manner(setting: Setting) -> tuple:
    method, training = setting.method, setting.recipe.training
    return (
        training.objective,
        setting.precision,
        method.bits,
        method.whole,
        setting.recomputes,
        bool(setting.recipe.lora.dropout),
    )


def measured_alone(recipe: Recipe, machine: Machine) -> tuple[MemoryPlan | None, Basis]:
    """For a model of unknown shape: what was measured of the very same setting, which is settled, as one part."""
    asked = _settings(recipe)
    for found in measurements(machine.device_name, recipe.model.source):
        if _settings(found.recipe) == asked:
            whole = MemoryPlan(**dict.fromkeys(PARTS, 0) | {"overhead": found.peak_bytes})
            return whole, Basis("measured", found)
    return None, COMPUTED


def _settings(recipe: Recipe) -> tuple:
    """What the memory of one batch follows from."""
    training = recipe.training
    again = training.activation_checkpointing == "on"
    data = (recipe.data.max_length, recipe.data.packing)
    return training.objective, recipe.lora, data, training.batch, training.precision, training.optimizer, again


def corrected_memory(computed: MemoryPlan, candidates: list[Known]) -> tuple[MemoryPlan, Basis]:
    """Add what the nearest measurement held beyond its own plan, in proportion to what grows with the batch."""
    if not candidates:
        return computed, COMPUTED
    nearest = min(candidates, key=lambda one: abs(math.log(one.memory.peak_bytes / computed.peak_bytes)))
    scale = min(FURTHEST, computed.moving_bytes / max(1, nearest.memory.moving_bytes))
    same = abs(nearest.memory.peak_bytes / computed.peak_bytes - 1) <= SAME
    return computed.grown(round(nearest.excess_bytes * scale)), Basis(
        "measured" if same else "scaled", nearest.measurement
    )


def corrected_seconds(computed: float, candidates: list[Known]) -> tuple[float, Basis]:
    """How many times slower than computed the nearest measurement was, and where that comes from."""
    timed = [one for one in candidates if one.times_slower]
    if not timed:
        return 1.0, COMPUTED
    nearest = min(timed, key=lambda one: abs(math.log(one.step_s / computed)))
    same = abs(nearest.step_s / computed - 1) <= SAME
    return nearest.times_slower, Basis("measured" if same else "scaled", nearest.measurement)
