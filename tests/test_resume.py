"""Resume: the run that goes on is the same run, bit for bit; whatever has changed since is said or refused."""

import json
import math
import shutil

import pytest
import torch
from bitsandbytes.optim import GlobalOptimManager

from core import home
from core.errors import DataError, JobError, ModelError
from core.files import append_line
from core.jobs import preflight
from core.jobs.folder import Job
from core.models.too_small import is_too_small
from core.training import callbacks, cpu_loss, start
from core.training import run as training
from core.training.divergence import Divergence
from core.training.resume import differences
from core.training.trainer import Trainer
from tests.toy_model import make_toy_model
from tests.toy_training import adapter_bytes, curve, new_folder, resume, toy_recipe, train

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("one_thread")]


def whole(recipe) -> Job:
    return train(new_folder(recipe, "20260101-000001-whole"))


@pytest.mark.parametrize("training", [{}, {"max_steps": 10}, {"load_best": True, "eval_every": 4}, {"log_every": 5}])
def test_a_run_killed_after_its_last_checkpoint_needs_only_its_result(toy, training):
    job = train(new_folder(toy_recipe(toy, training=training)))
    expected, step = adapter_bytes(job), job.result["step"]
    shutil.rmtree(job.files.adapter)
    resume(job)
    assert (job.result["status"], job.result["step"]) == ("finished", step)
    assert job.checkpoints[-1].step == job.metrics.step == step
    assert adapter_bytes(job) == expected


def events(job: Job, name: str) -> list[dict]:
    return [event for event in job.events if event["event"] == name]


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"training": {"log_every": 5}},
        {"data": {"packing": True}, "training": {"batch": 1}},
        {"lora": {"method": "qlora"}},
        {"lora": {"method": "qlora8"}, "training": {"label_smoothing": 0.1}},
        {"lora": {"method": "dora"}, "training": {"schedule": "linear", "epochs": 3, "max_steps": None}},
        {"lora": {"method": "pissa", "rank_pattern": {"v_proj": 2}}},
        {"lora": {"method": "pissa", "bias": True, "template_tokens": True}, "training": {"learning_rate": 0.01}},
        {"lora": {"method": "eva"}},
        {"lora": {"method": "lora+"}, "training": {"weight_decay": 0.1}},
        {"training": {"neftune": 5, "optimizer": "adafactor", "schedule": "warmup_stable_decay"}},
        # bitsandbytes keeps the state of smaller matrices in 32 bits.
        {"training": {"optimizer": "adamw_8bit", "schedule": "polynomial"}, "lora": {"rank": 64}},
        {"training": {"optimizer": "sgd", "schedule": "inverse_sqrt", "learning_rate": 0.1}},
        {"training": {"load_best": True, "early_stopping": 50, "eval_every": 2, "schedule": "cosine_with_min_lr"}},
        {"lora": {"method": "rslora", "first_layer": 1, "rank_pattern": {"down_proj": 8}}},
        {"lora": {"bias": True, "template_tokens": True}},
    ],
    ids=[
        *(
            "plain",
            "reports every 5 steps",
            "packing",
            "qlora",
            "8 bits",
            "dora over epochs",
            "pissa",
            "pissa, bias and tokens",
            "eva",
            "lora+",
        ),
        *("neftune and adafactor", "8-bit adamw", "sgd", "best", "layers", "bias and tokens"),
    ],
)
def test_a_resumed_run_is_the_same_run_bit_for_bit(toy, sections):
    recipe = toy_recipe(toy, **sections)
    expected = whole(recipe)
    job = train(new_folder(recipe), stop_at=6)
    assert job.result["status"] == "stopped"
    assert job.checkpoints[-1].step < expected.metrics.step
    resume(job)
    assert job.result["status"] == "finished"
    assert curve(job) == curve(expected)
    assert adapter_bytes(job) == adapter_bytes(expected)


def test_a_run_can_be_resumed_from_an_earlier_step(toy):
    recipe = toy_recipe(toy)
    expected = whole(recipe)
    job = train(new_folder(recipe), stop_at=10)  # while the loss is measured: saved once
    assert [event["step"] for event in events(job, "checkpoint")] == [4, 8, 10]
    resume(job, step=4)
    assert [event["step"] for event in events(job, "resumed")] == [4]
    assert curve(job) == curve(expected)
    assert adapter_bytes(job) == adapter_bytes(expected)
    with pytest.raises(JobError, match="step 7 cannot be used: it is not there"):
        resume(job, step=7)


def test_a_resume_removes_what_was_made_after_its_step(toy):
    job = train(new_folder(toy_recipe(toy)), stop_at=10)
    assert [checkpoint.step for checkpoint in job.checkpoints] == [4, 8, 10]
    resume(job, step=4, stop_at=5)
    assert [checkpoint.step for checkpoint in job.checkpoints] == [4, 5]
    assert list(job.metrics["step"]) == [1, 2, 3, 4, 5]


def test_without_a_checkpoint_a_run_begins_anew(toy):
    recipe = toy_recipe(toy)
    expected = whole(recipe)
    job = train(new_folder(recipe), stop_at=2)
    for checkpoint in job.checkpoints:
        home.manifest_file(checkpoint.folder).unlink()
    resume(job)
    assert curve(job) == curve(expected)


@pytest.mark.parametrize("harm", ["cut short", "one byte", "gone"])
def test_a_broken_checkpoint_is_passed_over_and_named(toy, harm):
    job = train(new_folder(toy_recipe(toy)), stop_at=10)
    file = job.checkpoints[-1].folder / "optimizer.pt"
    data = file.read_bytes()
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(data[:100] if harm == "cut short" else data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    resume(job)
    (resumed,) = events(job, "resumed")
    assert resumed["step"] == 8
    assert [skipped["step"] for skipped in resumed["skipped"]] == [10]
    assert "optimizer.pt" in events(job, "warning")[0]["text"]
    assert job.result["status"] == "finished"


def test_the_best_checkpoint_is_kept_beside_the_newest(toy, monkeypatch):
    job = new_folder(toy_recipe(toy, checkpoints={"every_steps": 1, "keep": 2}, training={"eval_every": 1}))
    losses = iter([9.0, 5.0, 1.0, *[4.0] * 20])
    real = Trainer.evaluate

    def graded(self, *args, **named):
        self.callback_handler.on_evaluate, kept = lambda *a: self.control, self.callback_handler.on_evaluate
        real(self, *args, **named)
        self.callback_handler.on_evaluate = kept
        self.control = kept(self.args, self.state, self.control, {"eval_loss": next(losses)})
        return {}

    monkeypatch.setattr(Trainer, "evaluate", graded)
    train(job, stop_at=8)
    assert job.best_step == 2
    assert [checkpoint.step for checkpoint in job.checkpoints] == [2, 7, 8]


def test_a_checkpoint_is_saved_by_the_clock(toy, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now.__setitem__(0, now[0] + 1) or now[0])
    job = train(new_folder(toy_recipe(toy, checkpoints={"every_steps": None, "every_minutes": 0.5})))
    steps = [checkpoint.step for checkpoint in job.checkpoints]
    assert steps[-1] == 12
    assert 0 < steps[0] < 12


def test_throughput_and_time_left_are_right_from_the_first_report_after_a_resume(toy, monkeypatch):
    now = [0.0]
    real = Trainer.training_step

    def one_second(self, *args, **named):
        now[0] += 1
        return real(self, *args, **named)

    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Trainer, "training_step", one_second)
    job = train(new_folder(toy_recipe(toy)), stop_at=6)
    now[0] += 10_000  # the break
    resume(job)
    # Two batches a step, a second each.
    assert list(job.metrics["elapsed_s"]) == [2.0 * step for step in range(1, 13)]
    assert list(job.metrics["left_s"]) == [2.0 * (12 - step) for step in range(1, 13)]


def test_a_changed_model_is_refused(toy, tmp_path):
    model = make_toy_model(tmp_path / "own")
    job = train(new_folder(toy_recipe(model)), stop_at=9)
    make_toy_model(tmp_path / "own", seed=8)
    steps, before, adapter = [checkpoint.step for checkpoint in job.checkpoints], curve(job), adapter_bytes(job)
    with pytest.raises(ModelError, match="is not what step 4 was trained on"):
        resume(job, step=4)
    # Nothing of it is gone: with the old files back it goes on from its newest step.
    assert [checkpoint.step for checkpoint in job.checkpoints] == steps == [4, 8, 10]
    assert (curve(job), adapter_bytes(job)) == (before, adapter)


GOOD = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}


def test_changed_data_is_refused_unless_the_prepared_set_is_still_there(toy, tmp_path):
    file = tmp_path / "faq.jsonl"
    file.write_text("\n".join([json.dumps(GOOD)] * 8))
    job = train(new_folder(toy_recipe(toy, data={"sources": [{"source": str(file)}]})), stop_at=5)
    file.write_text("\n".join([json.dumps(GOOD)] * 9))
    resume(job, stop_at=7)
    assert job.result["status"] == "stopped"
    report = home.prepared_files(job.prepared_key).report
    report.unlink()
    with pytest.raises(DataError, match="not what step 8 was trained on: a source has changed"):
        resume(job)


def test_a_missing_data_file_does_not_matter_while_the_prepared_set_is_there(toy, tmp_path):
    file = tmp_path / "faq.jsonl"
    file.write_text("\n".join([json.dumps(GOOD)] * 8))
    job = train(new_folder(toy_recipe(toy, data={"sources": [{"source": str(file)}]})), stop_at=5)
    file.unlink()
    preflight.check_again(job)
    home.prepared_files(job.prepared_key).report.unlink()
    with pytest.raises(DataError, match=r"faq\.jsonl is not there"):
        preflight.check_again(job)


def test_what_differs_on_another_machine_is_named(toy):
    job = train(new_folder(toy_recipe(toy)), stop_at=5)
    manifest = home.manifest_file(job.checkpoints[-1].folder)
    values = json.loads(manifest.read_text())
    values["made"]["versions"]["torch"] = "1.0"
    manifest.write_text(json.dumps(values))
    resume(job)
    (warning,) = events(job, "warning")
    assert "torch 2." in warning["text"]
    assert "instead of 1.0" in warning["text"]
    before = {"versions": {"torch": "1"}, "machine": {"threads": 2}}
    assert differences(before, {"versions": {"torch": "1"}, "machine": {"threads": 4}}) == ["threads 4 instead of 2"]
    assert differences({}, before) == []


def test_a_finished_run_is_continued_as_a_new_one_that_names_its_parent(toy):
    parent = whole(toy_recipe(toy))
    begin = {"start": {"start_from": parent.id}, "training": {"learning_rate": 1e-12, "max_steps": 1}}
    child = train(new_folder(toy_recipe(toy, **begin)))
    assert start.parent_of(child.recipe) == parent.id
    fresh = train(new_folder(toy_recipe(toy, training={"max_steps": 1}), "20260101-000002-fresh"))
    first = dict(zip(child.metrics.held_out_step, child.metrics.held_out_loss, strict=True))[0]
    assert first == parent.metrics.last_held_out_loss < fresh.metrics.held_out_at[0]
    # Brought back on another machine, it goes on without the earlier run.
    learned = adapter_bytes(child)
    shutil.rmtree(parent.folder)
    assert adapter_bytes(resume(child)) == learned


@pytest.mark.parametrize(
    ("begin", "changes", "said"),
    [
        ("nothing-there", {}, "nothing-there has no adapter"),
        (
            "20260101-000001-whole",
            {"lora": {"rank": 8}},
            "lora.rank: the adapter of .* has 4, and this recipe asks for 8",
        ),
        ("20260101-000001-whole@4", {"lora": {"targets": "mlp"}}, "lora.targets: the adapter of .* sits on"),
        ("20260101-000001-whole@4", {"lora": {"method": "dora"}}, "lora.method"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_before_the_start(toy, begin, changes, said):
    whole(toy_recipe(toy, training={"max_steps": 4}))
    preflight.check(toy_recipe(toy, start={"start_from": "20260101-000001-whole@4"}))
    with pytest.raises(JobError, match=said):
        preflight.check(toy_recipe(toy, start={"start_from": begin}, **changes))


def out_of_memory_above(batch: int, from_step: int, monkeypatch, recomputes: bool | None = None):
    """Let the device hold only so many conversations at once, from a step on."""
    real = Trainer.training_step

    def step(self, model, inputs, *args, **named):
        big = self.args.per_device_train_batch_size > batch or (recomputes and not self.args.activation_checkpointing)
        if big and self.state.global_step >= from_step - 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, model, inputs, *args, **named)

    monkeypatch.setattr(Trainer, "training_step", step)


def test_out_of_memory_is_answered_with_smaller_batches_of_the_same_step(toy, monkeypatch):
    recipe = toy_recipe(toy, lora={"dropout": 0})
    expected = whole(recipe)
    out_of_memory_above(1, from_step=7, monkeypatch=monkeypatch)
    job = train(new_folder(recipe))
    (event,) = events(job, "out_of_memory")
    assert {name: event[name] for name in ("step", "batch", "accumulation", "recomputes")} == {
        "step": 7,
        "batch": 1,
        "accumulation": 4,
        "recomputes": False,
    }
    assert [resumed["step"] for resumed in events(job, "resumed")] == [4]
    assert job.result["status"] == "finished"
    assert list(job.metrics["step"]) == list(range(1, 13))
    assert list(job.metrics["loss"]) == pytest.approx(list(expected.metrics["loss"]), rel=1e-3)
    assert job.resolved["micro_batch"] == {"batch": 1, "accumulation": 4}
    # What the RAM had left nobody knows.
    assert "did not fit" not in home.measured_file().read_text()


def test_of_an_attempt_that_did_not_fit_nothing_is_left_in_memory(toy, monkeypatch):
    out_of_memory_above(1, from_step=1, monkeypatch=monkeypatch)
    job = train(
        new_folder(toy_recipe(toy, lora={"method": "full"}, training={"optimizer": "adamw_8bit", "max_steps": 2}))
    )
    assert job.result["status"] == "finished" and events(job, "out_of_memory")
    assert len(GlobalOptimManager.get_instance().module_weight_config_triple) == 1  # the last attempt's embedding


def test_the_last_resort_is_to_compute_activations_again(toy, monkeypatch):
    out_of_memory_above(1, from_step=2, monkeypatch=monkeypatch, recomputes=True)
    job = train(new_folder(toy_recipe(toy, training={"max_steps": 4})))
    assert [(event["batch"], event["recomputes"]) for event in events(job, "out_of_memory")] == [(1, False), (1, True)]
    assert job.result["status"] == "finished"


def test_memory_that_is_too_small_for_anything_is_said(toy, monkeypatch):
    out_of_memory_above(0, from_step=1, monkeypatch=monkeypatch)
    with pytest.raises(ModelError, match="even for one conversation at a time"):
        train(new_folder(toy_recipe(toy)))


def test_a_model_that_does_not_fit_is_said_at_once(toy, monkeypatch):
    def too_big(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training, "load_base", too_big)
    with pytest.raises(ModelError, match="does not fit into the memory of CPU"):
        train(new_folder(toy_recipe(toy)))
    assert not is_too_small(RuntimeError("shapes do not match"))


def test_a_loss_that_is_no_number_stops_the_run_and_names_where_it_began(toy, monkeypatch):
    job = new_folder(toy_recipe(toy, checkpoints={"every_steps": 1}))
    real = cpu_loss.loss_at_labels
    # Two a step: the tenth is the second of step 5.
    count = iter(range(1, 1000))
    monkeypatch.setattr(cpu_loss, "loss_at_labels", lambda *args: real(*args) * (math.nan if next(count) > 9 else 1))
    with pytest.raises(
        JobError, match=r"diverged at step 5\b.*checkpoint of step 4 is from before.*learning_rate 0.0002"
    ):
        train(job)
    assert job.checkpoints[-1].step == 4
    bad = [math.isnan(loss) for loss in job.metrics["loss"]]
    assert bad == [False] * 4 + [True] * 3


@pytest.mark.parametrize(("rate", "method", "better"), [(10, "full", "2e-05"), (1, "full", "2e-05")])
def test_a_rate_far_too_high_ends_in_a_sentence(toy, rate, method, better):
    settings = {"learning_rate": rate, "max_steps": 60, "schedule": "constant"}
    job = new_folder(toy_recipe(toy, training=settings, checkpoints={"every_steps": 1}, lora={"method": method}))
    with pytest.raises(JobError, match=f"The loss diverged at step .*with training.learning_rate {better}"):
        train(job)
    assert job.metrics.step < 20
    assert not any(math.isnan(loss) for loss in list(job.metrics["loss"])[:-3])


def test_a_hard_batch_is_no_divergence_and_a_resume_knows_the_beginning(toy):
    job = new_folder(toy_recipe(toy))
    seen = Divergence(job)
    assert [seen.hopeless(step, loss) for step, loss in enumerate([2.0, 5.0, 5.0, 1.0, *[5.0] * 5], 1)] == [
        False
    ] * 8 + [True]
    assert "at step 5: it went from 2.00 to 5.00" in seen.sentence()
    append_line(job.files.metrics, {"step": 1, "loss": 2.0})
    append_line(job.files.metrics, {"step": 0, "held_out_loss": 3.0})
    resumed = Divergence(job)
    assert resumed.beginning == 3.0
    assert not any(resumed.hopeless(step, 4.9) for step in range(5, 20))


def test_weights_that_are_no_numbers_are_never_a_checkpoint(toy, monkeypatch):
    real = Trainer.training_step

    def breaks_at_step_8(self, model, *args, **named):
        loss = real(self, model, *args, **named)
        if self.state.global_step == 7:
            for weights in model.parameters():
                if weights.grad is not None:
                    weights.grad.fill_(math.nan)
        return loss

    monkeypatch.setattr(Trainer, "training_step", breaks_at_step_8)
    job = new_folder(toy_recipe(toy))
    with pytest.raises(JobError, match=r"diverged at step 8\b.*checkpoint of step 4 is from before that, and good"):
        train(job)
    assert [checkpoint.step for checkpoint in job.checkpoints] == [4]


def test_a_stop_while_the_held_out_loss_is_measured_loses_no_step(toy, monkeypatch):
    recipe = toy_recipe(toy)
    expected = whole(recipe)
    job = new_folder(recipe)
    real = callbacks.Stopper.on_prediction_step

    def asked(self, args, state, control, **kw):
        if state.global_step == 5 and not job.files.checkpoint(5).exists():
            raise callbacks.EvaluationCut
        return real(self, args, state, control, **kw)

    monkeypatch.setattr(callbacks.Stopper, "on_prediction_step", asked)
    train(job)
    assert job.result["status"] == "stopped"
    assert job.checkpoints[-1].step == 5
    resume(job)
    assert curve(job) == curve(expected)
    assert adapter_bytes(job) == adapter_bytes(expected)
