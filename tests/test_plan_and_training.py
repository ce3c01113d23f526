"""What the plan says of a run is what the run then does: steps, tokens, measurements, checkpoints."""

import time

import pytest

from core import home
from core.files import append_line
from core.hardware import machine
from core.jobs import deadline
from core.jobs.worker import Worker
from core.plan import measured
from core.plan.fixes import changed, smallest_fix
from core.plan.forecast import forecast
from core.plan.plan import CHECKPOINT_EXTRA_BYTES, checkpoint_bytes, disk_bytes
from core.plan.trainable import trainable_parameters
from core.recipe import parse
from core.training import schedules
from core.training.held_out_events import ALL, before_and_after
from tests.toy_pairs import write_pairs
from tests.toy_training import new_folder, resume, toy_recipe, train

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("one_thread")]


@pytest.mark.parametrize(
    "training",
    [
        {"max_steps": None, "epochs": 2, "batch": 64},
        {"max_steps": None, "epochs": 2, "accumulation": 16},
        {"max_steps": None, "epochs": 3},
        {"max_steps": 6, "eval_every": 50},
        {"max_steps": 12, "eval_every": 5},
        {"max_steps": 10, "eval_every": 5},
    ],
)
def test_steps_tokens_and_measurements_of_a_run(toy, training):
    recipe = toy_recipe(toy, training=training)
    job = train(new_folder(recipe))
    found = forecast(recipe, machine(home.home()))
    assert found.counted
    assert found.plan.steps == job.metrics.step
    assert found.time.evaluations == len(job.metrics.held_out_step)
    if epochs := training.get("epochs"):
        assert found.plan.tokens == epochs * found.rows.tokens


def test_a_measured_step_is_a_whole_one(toy):
    """Of 64 batches that are asked for the rows make ten: what was measured is told of 64."""
    recipe = toy_recipe(toy, training={"max_steps": 5, "accumulation": 64})
    times = train(new_folder(recipe)).metrics["elapsed_s"]
    (found,) = measured.measurements(machine(home.home()).device_name, recipe.model.source)
    assert found.step_s > 3 * (times[-1] - times[1]) / 3
    more = forecast(toy_recipe(toy, training={"max_steps": 5, "accumulation": 10}), machine(home.home()))
    assert more.time.step_s == pytest.approx(found.step_s * 10 / 64, rel=0.2)


def test_held_out_rows_are_not_packed_and_cost_no_more(toy):
    packed, plain = (toy_recipe(toy, data={"packing": packing}) for packing in ("on", "off"))
    for number, recipe in enumerate((packed, plain)):
        train(new_folder(recipe, f"20260101-00000{number}-toy"))
    home.measured_file().unlink()
    found = [forecast(recipe, machine(home.home())).time.evaluation_s for recipe in (packed, plain)]
    assert found[0] == pytest.approx(found[1], rel=0.5)


@pytest.mark.usefixtures("studio_home")
def test_before_anything_is_prepared_packed_rows_are_not_those_of_the_file():
    recipe = parse({"data": {"packing": "on"}})
    found = forecast(recipe, machine(home.home()))
    assert found.rows.rows == pytest.approx(found.rows.tokens / recipe.data.max_length, abs=1)


@pytest.mark.usefixtures("studio_home")
def test_before_anything_is_prepared_a_pair_is_as_long_as_both_its_conversations(tmp_path):
    path = write_pairs(tmp_path)
    sections = {"data": {"sources": [{"source": str(path)}], "eval_fraction": 0}}
    answers, pairs, short = (
        forecast(parse(sections | {"training": {"objective": name}} | more), machine(home.home())).rows
        for name, more in (("sft", {}), ("dpo", {}), ("dpo", {"data": sections["data"] | {"max_length": 16}}))
    )
    assert answers.rows == pairs.rows == 40
    assert pairs.tokens == pytest.approx(2 * answers.tokens, rel=0.1)
    assert short.tokens == 40 * 2 * 16  # each conversation is cut for itself


def test_a_run_on_pairs_measures_what_was_planned(toy, tmp_path):
    data = {"sources": [{"source": str(write_pairs(tmp_path))}], "eval_fraction": 0.2}
    recipe = toy_recipe(toy, data=data, training={"max_steps": 2, "eval_every": 1, "objective": "dpo"})
    job = new_folder(recipe)
    append_line(job.files.events, {"time": time.time(), "event": "created", "kind": "train"})
    train(job)
    found = forecast(recipe, machine(home.home()))
    assert found.counted and found.rows.held_out == 8
    assert found.time.evaluations == len(job.metrics.held_out_step) == 3
    # Once more at the start, by the model as it was.
    assert found.time.before_s == found.time.evaluation_s > 0
    assert found.time.total_s == pytest.approx(
        found.time.startup_s + 2 * found.time.step_s + 4 * found.time.evaluation_s
    )


@pytest.mark.usefixtures("studio_home")
def test_a_data_set_that_is_held_out_as_a_whole_counts_as_a_whole():
    sources = [{"source": "openai/gsm8k", "config": "main"}, {"source": "starter", "use": "held_out"}]
    found = forecast(parse({"data": {"sources": sources}}), machine(home.home()))
    assert found.rows.held_out == 300


@pytest.mark.parametrize(
    ("checkpoints", "training", "most"),
    [
        ({"keep": 3, "every_steps": 100, "every_minutes": None}, {"max_steps": 30}, 1),
        ({"keep": 3, "every_steps": 10, "every_minutes": None}, {"max_steps": 30}, 3),
        ({"keep": 3, "every_steps": 1, "every_minutes": None}, {"max_steps": 30}, 5),
        ({"keep": 3, "every_steps": 100, "every_minutes": 10}, {"max_steps": 30}, 5),
        ({"keep": 3, "every_steps": 100, "every_minutes": 10}, {"max_steps": 2}, 2),
        ({"keep": 3, "every_steps": 100, "every_minutes": None}, {"max_steps": 30, "load_best": True}, 5),
    ],
)
def test_a_run_takes_no_more_disk_than_the_checkpoints_it_makes(checkpoints, training, most):
    recipe = parse({"checkpoints": checkpoints, "training": training})
    assert disk_bytes(recipe) == most * checkpoint_bytes(recipe) > most * CHECKPOINT_EXTRA_BYTES


@pytest.mark.parametrize(("objective", "copies"), [("sft", 3), ("orpo", 3), ("dpo", 4)])
def test_a_checkpoint_that_stays_near_an_earlier_run_holds_what_that_was(objective, copies):
    recipe = parse({"model": {"start_from": "some/run"}, "training": {"objective": objective}})
    weights = trainable_parameters(recipe)
    assert checkpoint_bytes(recipe) == copies * 4 * weights + CHECKPOINT_EXTRA_BYTES
    assert checkpoint_bytes(changed(recipe, {"model.start_from": None})) == 3 * 4 * weights + CHECKPOINT_EXTRA_BYTES


@pytest.mark.parametrize("schedule", schedules.SCHEDULES)
@pytest.mark.parametrize("warmup", [0.03, 0.97])
def test_a_run_of_one_step_learns_in_it(schedule, warmup):
    training = parse({"training": {"max_steps": 1, "schedule": schedule, "warmup": warmup}}).training
    assert schedules.warmup_steps(training, 1) == 0
    assert schedules.rate_at(0, training, 1) > 0


def test_what_is_trained_in_one_step_is_not_what_it_began_as(toy):
    job = train(new_folder(toy_recipe(toy, training={"max_steps": 1})))
    assert job.metrics["learning_rate"][0] == pytest.approx(1e-3)
    before, after = job.metrics.held_out_loss
    assert before != after


def test_losses_of_an_abandoned_branch_are_nobody_s(toy):
    recipe = toy_recipe(toy, training={"max_steps": 20, "eval_every": 2, "learning_rate": 5e-3})
    job = train(new_folder(recipe), stop_at=12)
    assert before_and_after(job)[ALL][1] == job.metrics.held_out_at[max(job.metrics.held_out_at)]
    resume(job, step=4, stop_at=7)
    last = max(job.metrics.held_out_at)
    assert last < 12
    assert before_and_after(job)[ALL][1] == job.metrics.held_out_at[last]


def test_modules_by_their_whole_names_are_counted(toy):
    name = "model.layers.0.self_attn.q_proj"
    one, all_of_them = (
        trainable_parameters(toy_recipe(toy, lora={"targets": targets})) for targets in ([name], ["q_proj"])
    )
    assert 0 < one < all_of_them


def test_a_fix_is_one_that_can_be_taken():
    recipe = parse({"training": {"batch": 64, "accumulation": 64}})
    fix = smallest_fix(recipe, 10, "cuda", lambda other: other.training.batch)
    assert fix.changes == {"training.batch": 8, "training.accumulation": 512}
    assert smallest_fix(recipe, 3, "cuda", lambda other: other.training.batch) is None
    bits = lambda other: 1 if other.lora.method == "qlora" or other.training.optimizer == "adamw_8bit" else 2  # noqa: E731
    assert smallest_fix(parse({}), 1, "cuda", bits)
    assert smallest_fix(parse({}), 1, "mps", bits) is None


def test_a_slow_step_has_time_to_end(toy):
    job = new_folder(toy_recipe(toy))
    assert deadline.patience_s(job) == deadline.PATIENCE_S
    append_line(job.files.events, {"time": time.time() - 600, "event": "training", "total_steps": 9})
    assert deadline.patience_s(job) == pytest.approx(deadline.PATIENCE_S + 1200, abs=5)
    for step, seconds in ((10, 1200.0), (20, 2400.0)):
        Worker(job).metric(step=step, loss=1.0, elapsed_s=seconds)
    assert deadline.patience_s(job) == deadline.PATIENCE_S + deadline.STEPS * 1200
