"""What a recipe will take on this machine: counted where the data is prepared, corrected where something was measured."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from core.data.expected import expected_mix, known_rows
from core.data.preview import Prepared, prepared_for
from core.hardware import Machine
from core.jobs.listing import training_now
from core.plan import workload
from core.plan.correction import COMPUTED, Basis, Known, corrected_memory, corrected_seconds, known, measured_alone
from core.plan.fixes import changed
from core.plan.memory_plan import MemoryPlan, memory, share_fit
from core.plan.pace import Pace, measured_pace, pace_of
from core.plan.plan import Plan, batches_of_step, plan, total_steps
from core.plan.setting import Setting
from core.plan.settled import setting, settled
from core.plan.time_plan import TimePlan, duration, held_out_seconds, step_seconds
from core.plan.workload import Workload
from core.recipe import Recipe


@dataclass(frozen=True)
class Rows:
    """The rows of an epoch as far as they are known, packed where they are, and the prepared set they were counted in."""

    rows: int | None
    tokens: int | None
    held_out: int | None
    tokens_per_row: float | None = None  # before they are packed; of a pair those of both conversations
    prepared: Prepared | None = None


@dataclass(frozen=True)
class Forecast:
    """Memory and time are None for a model whose shape nobody here knows, time also where the steps are not known."""

    recipe: Recipe
    plan: Plan
    rows: Rows
    memory: MemoryPlan | None
    memory_basis: Basis
    time: TimePlan | None
    time_basis: Basis
    room_bytes: int

    @property
    def counted(self) -> bool:
        return self.rows.prepared is not None

    @cached_property
    def fit(self) -> str | None:
        """`fits`, `tight` or `too big` for the memory that the device has free; None where the memory is not known."""
        return share_fit(self.memory.peak_bytes, self.room_bytes) if self.memory else None

    @property
    def hopeless(self) -> bool:
        """Whether it is sure not to fit: by counted rows, or by what no row changes."""
        if self.memory is None or self.fit != "too big":
            return False
        return self.counted or self.memory.steady_bytes > self.room_bytes


def forecast(recipe: Recipe, machine: Machine) -> Forecast:
    """The whole plan."""
    rows = rows_of(recipe)
    steps, room = plan(recipe, rows.rows, rows.tokens), room_bytes(machine)
    asked = setting(recipe, machine, room)
    if asked is None:
        return Forecast(
            recipe, steps, rows, *measured_alone(settled(recipe, machine, room), machine), None, COMPUTED, room
        )
    pace, work = pace_of(machine), work_of(asked, rows)
    measured = known(asked, machine, pace)
    bytes_, basis = corrected_memory(memory(asked, work), measured)
    time, time_basis = _time(asked, work, rows, pace, measured)
    return Forecast(recipe, steps, rows, bytes_, basis, time, time_basis, room)


def expected_step_s(found: Forecast, machine: Machine) -> float | None:
    """Seconds of a step, measured or computed; None on a machine that no job has measured yet."""
    return found.time.step_s if found.time and measured_pace(machine.device_name) else None


def room_bytes(machine: Machine) -> int:
    """What the device has free for it; a training that runs now will have given back what it holds."""
    running = training_now()
    held = (running.metrics.last("memory_bytes") or 0) if running else 0
    return round(min(machine.memory_bytes, machine.memory_free_bytes + held))


def _time(
    asked: Setting, work: Workload, rows: Rows, pace: Pace, measured: list[Known]
) -> tuple[TimePlan | None, Basis]:
    slower, basis = corrected_seconds(step_seconds(asked, work, pace), measured)
    computed = duration(asked, work, pace, rows.rows, _held_out_s(asked, work, rows, pace))
    return (computed.slower(slower), basis) if computed else (None, COMPUTED)


def _held_out_s(asked: Setting, work: Workload, rows: Rows, pace: Pace) -> float:
    """One measurement: held-out rows are never packed."""
    if asked.recipe.data.packs:
        asked = replace(asked, recipe=changed(asked.recipe, {"data.packing": "off"}))
        work = work_of(asked, rows)
    return held_out_seconds(asked, work.usual, pace, rows.held_out)


def peak_bytes(changed: Recipe, before: Forecast, machine: Machine) -> int | None:
    """The memory alone of a recipe that was changed a little; its rows are not looked for again."""
    asked = setting(changed, machine, before.room_bytes)
    if asked is None:
        return None
    rows = before.rows if changed.data == before.recipe.data else replace(before.rows, prepared=None)
    measured = known(asked, machine, pace_of(machine))
    return corrected_memory(memory(asked, work_of(asked, rows)), measured)[0].peak_bytes


def rows_of(recipe: Recipe) -> Rows:
    """From the prepared set where there is one, else from what is known of its data sets."""
    if prepared := prepared_for(recipe):
        return _counted(recipe, prepared, prepared.report)
    mix = expected_mix(recipe)
    rows, tokens = [share.rows for share in mix], [share.tokens for share in mix if share.rows]
    total, all_tokens = (None if None in column else sum(column) for column in (rows, tokens))
    mean = all_tokens / total if total and all_tokens else None
    if recipe.data.packs:
        total = math.ceil(all_tokens / recipe.data.max_length) if all_tokens else None
    return Rows(total, all_tokens, _held_out(recipe, rows), mean)


def _held_out(recipe: Recipe, rows: list[int | None]) -> int | None:
    """Those of the data sets that are held out as a whole, else a share of all."""
    uses = [source.use for source in recipe.data.sources]
    if "held_out" in uses:
        whole = [found.rows for found, use in zip(known_rows(recipe), uses, strict=True) if use == "held_out"]
        return None if None in whole else sum(whole)
    share = recipe.data.eval_fraction
    return None if None in rows else round(sum(rows) * share / (1 - share))


def _counted(recipe: Recipe, prepared: Prepared, report: dict[str, Any]) -> Rows:
    rows = report["packing"]["rows"] if recipe.data.packs else report["rows"]
    return Rows(rows, report["tokens"], report["held_out_rows"], prepared=prepared)


def work_of(asked: Setting, rows: Rows) -> Workload:
    """The batches of a setting: counted where its rows are."""
    recipe = asked.recipe
    of_step = batches_of_step(recipe, rows.rows)
    if rows.prepared is None:
        return replace(workload.assumed(recipe, rows.tokens_per_row), batches=of_step)
    steps = total_steps(recipe, rows.rows)
    batches = steps * recipe.training.accumulation * recipe.launcher.processes if steps else None
    return replace(workload.counted(recipe, rows.prepared, asked.padded, batches), batches=of_step)
