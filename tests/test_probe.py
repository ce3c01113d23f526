"""The probe: real steps of the toy model, what is measured is remembered, and what was trained is gone."""

import json
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset

from core import home
from core.hardware import Gpu, Machine, machine
from core.jobs.folder import Job
from core.plan import correction, forecast, measured, pace, settled, workload
from core.plan.correction import Known
from core.plan.fixes import changed
from core.plan.measured import Measurement
from core.plan.memory_plan import PARTS, MemoryPlan
from core.plan.pace import Pace
from core.plan.workload import Batch
from core.recipe import Recipe, parse
from core.said_plan import said
from core.training import measure_pace, probe
from core.training.probe_recipe import LEAST_TIMED, MOST_TIMED, UNTIMED, probe_recipe
from tests.toy_pairs import write_pairs
from tests.toy_training import StopsAt, new_folder, toy_recipe, train

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("one_thread")]

STEPS = UNTIMED + LEAST_TIMED


def probed(recipe: Recipe, name: str = "20260101-000000-probe", stop_at: int | None = None) -> Job:
    job = new_folder(probe_recipe(recipe), name)
    job.files.events.write_text(json.dumps({"time": time.time(), "event": "created", "kind": "probe"}) + "\n")
    probe.run(StopsAt(job, stop_at))
    return job


def known_of(recipe: Recipe) -> list[Measurement]:
    return measured.measurements(machine(home.home()).device_name, recipe.model.source)


def test_a_probe_measures_and_leaves_nothing_but_its_numbers(toy):
    recipe = toy_recipe(toy)
    job = probed(recipe)
    assert job.result["status"] == "finished" and job.result["why"].startswith("Measured: ")
    (found,) = known_of(recipe)
    assert (found.source, found.job, found.precision) == ("probe", job.id, "fp32")
    assert found.peak_bytes == job.resolved["peak_memory_bytes"] == job.result["peak_memory_bytes"]
    assert 100e6 < found.peak_bytes < 8e9 and found.step_s > 0
    assert job.checkpoints == [] and not job.files.adapter.exists() and not job.files.scratch.exists()
    assert list(job.metrics["step"]) == list(range(1, STEPS + 1)) and not len(job.metrics.held_out_step)


def test_the_fastest_pace_that_a_job_has_found_is_remembered(toy):
    probed(toy_recipe(toy))
    name = machine(home.home()).device_name
    found = pace.measured_pace(name)
    assert 1e9 < found.flops < 1e15 and 1e8 < found.numbers < 1e13
    pace.keep_pace(name, Pace(1e18, 1.0, 1.0))
    probed(toy_recipe(toy), "20260101-000001-probe")
    after = pace.measured_pace(name)
    assert after.flops == 1e18 and after.numbers > 1e8


def test_the_forecast_is_that_of_the_probe_afterwards(toy):
    recipe, here = toy_recipe(toy), machine(home.home())
    before = forecast.forecast(recipe, here)
    assert before.memory_basis.kind == before.time_basis.kind == "computed"
    probed(recipe)
    after, (found,) = forecast.forecast(recipe, here), known_of(recipe)
    assert after.counted and after.memory_basis.measurement == after.time_basis.measurement == found
    assert after.memory.peak_bytes == pytest.approx(found.peak_bytes, rel=0.1)


def test_a_probe_of_pairs_corrects_the_plan_of_pairs_and_no_other(toy, tmp_path):
    pairs = toy_recipe(toy, data={"sources": [{"source": str(write_pairs(tmp_path))}]}, training={"objective": "dpo"})
    here = machine(home.home())
    probed(pairs)
    after, (found,) = forecast.forecast(pairs, here), known_of(pairs)
    for other in ("sft", "orpo"):
        assert forecast.forecast(changed(pairs, {"training.objective": other}), here).memory_basis.kind == "computed"
    assert (found.source, found.recipe.training.objective) == ("probe", "dpo")
    assert after.memory_basis.measurement == after.time_basis.measurement == found
    assert after.memory.peak_bytes == pytest.approx(found.peak_bytes, rel=0.1)
    # The two longest pairs at once, both conversations of each.
    rows = workload._rows(after.rows.prepared.files, 400)
    two = np.argsort(-rows.tokens, kind="stable")[:2]
    assert rows.conversations == 2 and found.largest.tokens == rows.tokens[two].sum()
    assert found.largest.longest == rows.longest[two].max() < rows.tokens.max()


def test_what_was_measured_of_answers_says_nothing_of_pairs_for_a_model_of_unknown_shape():
    here, recipe = machine(home.home()), parse({"model": {"source": "someone/unknown"}})
    batch = Batch(1, 1, 1)
    measured.keep(Measurement("run", "job", 1.0, here.device_name, "fp32", recipe, batch, batch, 10, 1.0))
    assert correction.measured_alone(recipe, here)[0].peak_bytes == 10
    assert correction.measured_alone(changed(recipe, {"training.objective": "orpo"}), here)[0] is None


def test_the_longest_rows_come_in_one_batch_once_there_is_an_optimisers_state():
    rows = Dataset.from_dict({"input_ids": [[0] * length for length in (3, 9, 5, 7, 2, 4)]})
    lengths = [len(ids) for ids in probe.chosen(rows, 2, STEPS)["input_ids"]]
    assert len(lengths) == 2 * STEPS
    assert lengths[2:4] == [9, 7]
    assert sorted(lengths[:2] + lengths[4:8]) == [2, 3, 4, 5, 7, 9]  # as they come, each of them once


def test_fewer_rows_than_a_step_are_repeated():
    rows = Dataset.from_dict({"input_ids": [[0, 0], [0]]})
    assert len(probe.chosen(rows, 4, STEPS)) == 4 * STEPS


def test_a_probe_keeps_what_memory_and_time_follow_from(toy):
    recipe = toy_recipe(toy, training={"accumulation": 8, "early_stopping": 2}, lora={"rank": 8})
    short = probe_recipe(recipe)
    assert (short.lora, short.data, short.model) == (recipe.lora, recipe.data, recipe.model)
    assert (short.training.batch, short.training.max_steps, short.training.accumulation) == (2, STEPS, 1)
    assert short.training.early_stopping is None and short.contradictions() == []
    whole = recipe.model_copy(update={"lora": recipe.lora.model_copy(update={"method": "full"})})
    assert probe_recipe(whole).training.accumulation == 2


@pytest.mark.parametrize(("step_s", "timed"), [(None, LEAST_TIMED), (60.0, LEAST_TIMED), (3.0, 20), (1e-3, MOST_TIMED)])
def test_a_probe_takes_as_many_steps_as_tell_the_time(toy, step_s, timed):
    recipe = toy_recipe(toy, training={"accumulation": 4})  # of which a probe has one
    assert probe_recipe(recipe, step_s).training.max_steps == UNTIMED + timed


def test_a_stopped_probe_says_so_and_measures_nothing(toy):
    recipe = toy_recipe(toy)
    job = probed(recipe, stop_at=1)
    assert job.result["status"] == "stopped" and "too few to measure" in job.result["why"]
    assert known_of(recipe) == [] and not job.files.checkpoints.exists()


def test_a_finished_run_is_a_measurement_too(toy):
    recipe = toy_recipe(toy, training={"max_steps": 4})
    job = train(new_folder(recipe))
    (found,) = known_of(recipe)
    assert (found.source, found.job) == ("run", job.id)
    assert found.largest.tokens <= 2 * 400 and 0 < found.usual.labels <= found.usual.tokens <= found.largest.tokens


def test_what_a_later_version_cannot_read_is_passed_over(toy):
    recipe = toy_recipe(toy)
    home.measured_file().parent.mkdir(parents=True, exist_ok=True)
    row = {"device": machine(home.home()).device_name, "recipe": {"model": {"source": str(toy)}, "new": 1}}
    home.measured_file().write_text(f"nonsense\n[]\n{json.dumps(row)}\n{json.dumps(row | {'recipe': 3})}\n")
    assert known_of(recipe) == []


def plan(**parts: int) -> MemoryPlan:
    return MemoryPlan(**dict.fromkeys(PARTS, 0) | parts)


def known(memory: MemoryPlan, peak: int, computed_s: float = 1.0, step_s: float | None = 2.0) -> Known:
    batch = Batch(1, 1, 1)
    found = Measurement("probe", "job", 1.0, "CPU", "fp32", Recipe(), batch, batch, peak, step_s)
    return Known(found, memory, computed_s)


def test_the_measured_setting_itself_is_planned_as_measured():
    computed = plan(weights=1000, activations=2000, overhead=500)
    corrected, basis = correction.corrected_memory(computed, [known(computed, 4000)])
    assert corrected.peak_bytes == 4000 and basis.kind == "measured"
    slower, basis = correction.corrected_seconds(1.0, [known(computed, 4000)])
    assert slower == 2.0 and basis.kind == "measured"


def test_another_setting_is_corrected_in_proportion_to_its_activations():
    computed = plan(weights=1000, activations=1000)
    found = known(computed, 2400)
    corrected, basis = correction.corrected_memory(plan(weights=1000, activations=500), [found])
    assert corrected.peak_bytes == 1500 + 200 and basis.kind == "scaled"
    far, _ = correction.corrected_memory(plan(weights=1000, activations=100_000), [found])
    assert far.peak_bytes == 101_000 + 2 * 400  # never more than twice


def test_less_than_planned_never_makes_a_part_negative():
    computed = plan(weights=1000, activations=1000, overhead=100)
    corrected, _ = correction.corrected_memory(computed, [known(computed, 1500)])
    assert corrected.peak_bytes == 1500 and corrected.overhead == 0 and corrected.activations == 500


def test_a_run_that_did_not_fit_says_nothing_of_the_time():
    near, far = known(plan(), 1, 1.0, step_s=None), known(plan(), 1, 5.0, step_s=10.0)
    slower, basis = correction.corrected_seconds(1.0, [near, far])
    assert slower == 2.0 and basis.measurement is far.measurement
    assert correction.corrected_seconds(1.0, [near]) == (1.0, correction.COMPUTED)


def test_what_a_gpu_had_no_room_to_keep_is_computed_again_the_next_time():
    t4 = Machine(2, 12e9, 10e9, 100e9, 80e9, gpus=(Gpu("Tesla T4", 16e9, 15e9, 0.0, (7, 5)),))
    recipe = parse({"model": {"source": "meta-llama/Llama-3.2-1B"}, "training": {"batch": 2}})
    assert settled.recomputes(recipe, t4) is False
    batches, kept = workload.assumed(recipe), settled.with_it_settled(recipe, False)
    both = batches.largest, batches.usual
    measured.keep(
        Measurement("run that did not fit", "job", 1.0, "Tesla T4", "fp16", kept, *both, 15_000_000_000, None)
    )
    assert settled.recomputes(recipe, t4) is True
    assert settled.recomputes(changed(recipe, {"training.batch": 1, "data.max_length": 256}), t4) is False
    assert forecast.forecast(recipe, t4).fit == "fits"  # as it is going to be trained
    keeping = forecast.forecast(kept, t4)
    assert keeping.fit != "fits" and said(keeping.memory_basis) == "measured by a run that did not fit"


def test_the_nearest_of_several_measurements_is_taken():
    near, far = known(plan(activations=1000), 1100), known(plan(activations=9000), 20_000)
    corrected, basis = correction.corrected_memory(plan(activations=1200), [far, near])
    assert basis.measurement is near.measurement and corrected.peak_bytes == 1200 + 120


def test_numbers_that_are_none_are_no_measurement(toy):
    recipe = toy_recipe(toy)
    batch = Batch(1, 1, 1)
    for step_s in (math.inf, 0.0, 1.0):
        found = Measurement("run", "job", 1.0, "CPU", "fp32", recipe, batch, batch, 10, step_s)
        measured.keep(found) if math.isfinite(step_s) else None
    (kept,) = measured.measurements("CPU", str(toy))
    assert kept.step_s == 1.0


def test_the_rows_decide_the_batches(toy):
    recipe = toy_recipe(toy)
    probed(recipe)
    found = forecast.rows_of(recipe)
    rows = workload._rows(found.prepared.files, 400)
    lengths, labels = rows.tokens, rows.labels
    side_by_side = workload.counted(recipe, found.prepared, padded=False)
    padded = workload.counted(recipe, found.prepared, padded=True)
    assert lengths.max() <= side_by_side.largest.tokens <= np.sort(lengths)[-2:].sum()
    assert padded.largest.tokens == 2 * lengths.max() and padded.largest.longest == lengths.max()
    assert side_by_side.usual.tokens == pytest.approx(2 * lengths.mean(), rel=0.06)
    assert side_by_side.usual.labels == pytest.approx(2 * labels.mean(), rel=0.06)


def test_a_round_that_waited_for_the_cores_is_not_taken_for_the_pace(monkeypatch):
    now, rounds = [0.0], iter([0.3, 0.25, 0.005, 0.25, 0.005])
    monkeypatch.setattr(measure_pace.time, "perf_counter", lambda: now[0])

    def work() -> None:
        now[0] += next(rounds)

    assert measure_pace._seconds(work, SimpleNamespace(kind="cpu")) == pytest.approx(0.005)
