"""What the held-out losses decide: an early end, and whose adapter is the result; neither forgets over a resume."""

import pytest

from core.errors import ModelError, RecipeError
from core.recipe import parse
from core.recipe_training import TrainingSection
from core.training import device, held_out, run
from core.training.trainer import OPTIMIZERS, Trainer
from tests.toy_training import adapter_bytes, curve, new_folder, resume, toy_recipe, train

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("one_thread")]
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def best_at_step_4(monkeypatch):
    """The held-out loss falls to step 4 and rises from there, whatever is learned."""
    real = held_out.measure

    def graded(trainer, after_batch):
        real(trainer, after_batch)
        return held_out.Measured(1.0 + abs(trainer.state.global_step - 4), {})

    monkeypatch.setattr(held_out, "measure", graded)


def recipe_for(toy, **training):
    settings = {"max_steps": 20, "eval_every": 2, "early_stopping": 3}
    return toy_recipe(toy, training=settings | training, checkpoints={"every_steps": 5, "keep": 1})


@pytest.mark.usefixtures("best_at_step_4")
def test_a_run_ends_early_and_its_result_is_the_best_checkpoint(toy):
    job = train(new_folder(recipe_for(toy, load_best=True)))
    assert job.result["status"] == "finished"
    assert job.result["step"] == 10
    assert "no new best for 3 measurements" in job.result["why"]
    assert "The result is that of step 4, the best by held-out loss (1.000)" in job.result["why"]
    assert [checkpoint.step for checkpoint in job.checkpoints] == [4, 10]
    assert adapter_bytes(job) == (job.checkpoints[0].folder / WEIGHTS).read_bytes()
    assert adapter_bytes(job) != (job.checkpoints[1].folder / WEIGHTS).read_bytes()
    assert "trained for 4 steps" in (job.files.adapter / "README.md").read_text()


@pytest.mark.usefixtures("best_at_step_4")
@pytest.mark.parametrize("stop_at", [5, 9])
def test_the_patience_survives_a_resume(toy, stop_at):
    recipe = recipe_for(toy, load_best=True)
    expected = train(new_folder(recipe, "20260101-000001-whole"))
    job = train(new_folder(recipe), stop_at=stop_at)
    assert job.result["status"] == "stopped"
    resume(job)
    assert (job.result["status"], job.result["step"]) == ("finished", 10)
    assert curve(job) == curve(expected)
    assert adapter_bytes(job) == adapter_bytes(expected)


@pytest.mark.usefixtures("best_at_step_4")
@pytest.mark.parametrize("load_best", [True, False])
def test_a_run_killed_after_its_early_end_needs_only_its_result(toy, load_best):
    recipe = recipe_for(toy, load_best=load_best)
    job = train(new_folder(recipe))
    expected = adapter_bytes(job)
    resume(job)
    assert (job.result["status"], job.result["step"]) == ("finished", 10)
    assert list(job.metrics["step"]) == list(range(1, 11))
    assert adapter_bytes(job) == expected


@pytest.mark.usefixtures("best_at_step_4")
def test_a_best_checkpoint_that_is_broken_is_passed_over_with_a_word(toy, monkeypatch):
    real = run.best_checkpoint

    def broken(worker):
        file = worker.job.checkpoint_of(4).folder / WEIGHTS
        file.write_bytes(file.read_bytes()[:-1] + b"x")
        return real(worker)

    monkeypatch.setattr(run, "best_checkpoint", broken)
    job = train(new_folder(recipe_for(toy, load_best=True)))
    assert adapter_bytes(job) == (job.checkpoints[-1].folder / WEIGHTS).read_bytes()
    assert any("best checkpoint cannot be used" in event.get("text", "") for event in job.events)


@pytest.mark.parametrize("key", ["early_stopping", "load_best"])
def test_what_goes_by_held_out_rows_needs_some(key):
    with pytest.raises(RecipeError, match=f"training.{key}: it goes by the loss on held-out rows"):
        parse({"training": {key: 1 if key == "early_stopping" else True}, "data": {"eval_fraction": 0}})


def built(toy, monkeypatch, **training) -> Trainer:
    """The trainer of a run of one step, as it was at the end."""
    seen = {}
    monkeypatch.setattr(run, "_finish", lambda session, found, trainer, *more: seen.update(trainer=trainer))
    train(new_folder(toy_recipe(toy, training={"max_steps": 1} | training)))
    return seen["trainer"]


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [("auto", "AdamW"), ("adamw", "AdamW"), ("adamw_8bit", "AdamW"), ("adafactor", "Adafactor"), ("sgd", "SGD")],
)
def test_the_optimizer_is_the_one_asked_for(toy, monkeypatch, optimizer, kind):
    trainer = built(toy, monkeypatch, optimizer=optimizer)
    made = trainer.optimizer
    assert type(getattr(made, "optimizer", made)).__name__ == kind
    made = getattr(made, "optimizer", made)
    assert type(made).__module__.startswith("bitsandbytes") == optimizer.endswith("8bit")
    assert trainer.args.optim == OPTIMIZERS[optimizer]


def test_the_schedule_and_the_noise_reach_the_trainer(toy, monkeypatch):
    trainer = built(toy, monkeypatch, schedule="cosine_with_min_lr", min_rate=0.3, neftune=5)
    assert trainer.args.lr_scheduler_type == "cosine_with_min_lr"
    assert trainer.args.lr_scheduler_kwargs == {"min_lr_rate": 0.3}
    assert trainer.args.neftune_noise_alpha == 5


def test_an_optimizer_that_needs_a_gpu_is_refused_on_a_cpu_in_words():
    with pytest.raises(ModelError, match=r"paged_adamw_8bit needs a CUDA GPU, and this is CPU"):
        device.choose_device(TrainingSection(optimizer="paged_adamw_8bit"))
