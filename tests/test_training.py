"""Training, in process on the toy model: the loss is the right one, the adapter is whole, precision follows the device."""

import hashlib
import math

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM

from core import hardware, home
from core.errors import ModelError
from core.hardware import Gpu
from core.inference.choices import choices
from core.jobs.worker import Worker
from core.plan.plan import plan
from core.plan.trainable import trainable_parameters
from core.recipe import Recipe, parse
from core.recipe_training import TrainingSection
from core.training import cpu_loss, device
from core.training import run as training
from tests.test_jobs import new_job

pytestmark = pytest.mark.process


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """A toy has nothing to share between cores, and waiting for each other costs more than its work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe_for(toy, **training_changes) -> Recipe:
    settings = {"max_steps": 4, "batch": 2, "accumulation": 2, "learning_rate": 1e-3, "eval_every": 2}
    return parse(
        {
            "model": {"source": str(toy)},
            "data": {"sources": [{"source": "starter", "limit": 20}], "max_length": 400},
            "training": settings | training_changes,
            "checkpoints": {"every_steps": 2, "keep": 1},
        }
    )


def trained(recipe: Recipe, name: str = "20260101-000000-try") -> Worker:
    worker = new_job(name, recipe=recipe)
    training.run(worker)
    return worker


def losses(worker: Worker) -> list[float]:
    return list(worker.job.metrics["loss"])


def test_a_training_reports_saves_and_leaves_a_whole_adapter(toy):
    job = trained(recipe_for(toy)).job
    assert job.result["status"] == "finished"
    assert list(job.metrics["step"]) == [1, 2, 3, 4]
    assert list(job.metrics.held_out_step) == [0, 2, 4]
    first, last = job.metrics.held_out_at[0], job.metrics.held_out_at[4]
    assert f"Trained 4 steps on 16 of {job.newest_event('prepared')['rows']} rows." in job.result["why"]
    assert f"The held-out loss went from {first:.3f} to {last:.3f} (perplexity" in job.result["why"]
    columns = {name: column for name, column in job.metrics.columns.items() if name != "preferred"}  # only of pairs
    assert all(math.isfinite(value) for column in columns.values() for value in column)
    assert job.metrics["left_s"][-1] == 0
    assert [checkpoint.step for checkpoint in job.checkpoints] == [4]  # `keep` is 1
    assert not job.files.scratch.exists()
    assert [model.id for model in choices() if model.tuned] == [job.id, f"{job.id}@4"]


def test_a_checkpoint_lists_every_file_with_its_size_and_hash(toy):
    (checkpoint,) = trained(recipe_for(toy)).job.checkpoints
    found = {path.name for path in checkpoint.folder.iterdir()} - {"manifest.json"}
    assert set(checkpoint.manifest["files"]) == found
    assert {"adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"} <= found
    for name, facts in checkpoint.manifest["files"].items():
        data = (checkpoint.folder / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (facts["size_bytes"], facts["sha256"])


def test_the_same_recipe_gives_the_same_losses_and_another_seed_others(toy):
    first = losses(trained(recipe_for(toy), "20260101-000001-a"))
    second = losses(trained(recipe_for(toy), "20260101-000002-b"))
    other = losses(trained(recipe_for(toy, seed=8), "20260101-000003-c"))
    assert first == second != other


def test_the_loss_at_labels_is_the_loss_of_every_position(toy, monkeypatch):
    lazy = trained(recipe_for(toy, precision="fp32"), "20260101-000001-a")
    monkeypatch.setattr(cpu_loss, "applies_to", lambda base: False)
    full = trained(recipe_for(toy, precision="fp32"), "20260101-000002-b")
    assert lazy.job.resolved["speed"]["loss"] != full.job.resolved["speed"]["loss"]
    assert losses(lazy) == pytest.approx(losses(full), rel=1e-4)
    assert list(lazy.job.metrics.held_out_loss) == pytest.approx(list(full.job.metrics.held_out_loss), rel=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_gradient_made_on_the_way_is_torchs_own(smoothing):
    torch.set_float32_matmul_precision("highest")
    hidden, weight = torch.randn(7, 16, requires_grad=True), torch.randn(50, 16, requires_grad=True)
    targets = torch.arange(7)
    expected = torch.nn.functional.cross_entropy(hidden @ weight.T, targets, reduction="sum", label_smoothing=smoothing)
    wanted = torch.autograd.grad(expected, (hidden, weight))
    found = cpu_loss.CrossEntropy.apply(hidden, weight, None, targets, True, smoothing)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    for ours, theirs in zip(torch.autograd.grad(found, (hidden, weight)), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_label_smoothing_is_in_the_training_loss_alone_whoever_computes_it(toy, monkeypatch):
    plain = trained(recipe_for(toy), "20260101-000001-a")
    lazy = trained(recipe_for(toy, label_smoothing=0.3), "20260101-000002-b")
    monkeypatch.setattr(cpu_loss, "applies_to", lambda base: False)
    full = trained(recipe_for(toy, label_smoothing=0.3), "20260101-000003-c")
    assert losses(lazy) == pytest.approx(losses(full), rel=1e-3)
    assert losses(lazy)[0] != pytest.approx(losses(plain)[0], rel=1e-3)
    assert lazy.job.metrics.held_out_loss[0] == pytest.approx(plain.job.metrics.held_out_loss[0], rel=1e-6)
    assert full.job.metrics.held_out_loss[0] == pytest.approx(plain.job.metrics.held_out_loss[0], rel=1e-4)


def test_a_model_that_changes_its_logits_keeps_the_full_loss(toy):
    base = AutoModelForCausalLM.from_pretrained(toy)
    assert cpu_loss.applies_to(base)
    base.config.final_logit_softcapping = 30.0
    assert not cpu_loss.applies_to(base)


@pytest.mark.parametrize("method", ["rslora", "dora", "lora+", "pissa", "eva", "qlora8"])
def test_every_method_trains(toy, method):
    recipe = recipe_for(toy, max_steps=1)
    recipe = recipe.model_copy(
        update={"lora": recipe.lora.model_copy(update={"method": method, "targets": "attention"})}
    )
    assert trained(recipe).job.result["status"] == "finished"


def test_the_adapter_names_its_base_as_others_know_it_and_has_a_valid_card(toy):
    recipe = recipe_for(toy, max_steps=1)
    job = trained(recipe).job
    written = ModelCard.load(job.files.adapter / "README.md")
    assert written.data.library_name == "peft"
    assert "learning_rate: 0.001" in (job.files.adapter / "recipe.yaml").read_text()
    assert str(home.home()) not in (job.files.adapter / "adapter_config.json").read_text()


def cuda(monkeypatch, name: str, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: name)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)


def test_a_t4_trains_in_fp16_and_an_a100_in_bf16(monkeypatch):
    cuda(monkeypatch, "Tesla T4", (7, 5))
    chosen = device.choose_device(TrainingSection())
    assert (chosen.precision, chosen.weights_dtype) == ("fp16", torch.float16)
    assert "has no bf16" in chosen.reason
    cuda(monkeypatch, "A100", (8, 0))
    assert device.choose_device(TrainingSection()).precision == "bf16"


def test_a_gpu_that_pytorch_cannot_use_is_no_silent_training_on_the_cpu(monkeypatch):
    monkeypatch.setattr(hardware, "_gpus", lambda: (Gpu("Tesla T4", 15 << 30, 14 << 30, 0.0, (7, 5)),))
    with pytest.raises(ModelError, match=r"has a Tesla T4, but PyTorch 2\..* cannot use it: the driver is older"):
        device.choose_device(TrainingSection())


def test_a_precision_the_device_does_not_have_is_refused(monkeypatch):
    with pytest.raises(ModelError, match="fp16 needs a GPU"):
        device.choose_device(TrainingSection(precision="fp16"))
    cuda(monkeypatch, "Tesla T4", (7, 5))
    with pytest.raises(ModelError, match="Tesla T4 has no bf16"):
        device.choose_device(TrainingSection(precision="bf16"))


@pytest.mark.parametrize("imitates", [True, False])
def test_a_cpu_that_has_no_bf16_says_how_slowly_it_imitates_it(monkeypatch, imitates):
    monkeypatch.setattr(hardware, "cpu_imitates_bf16", lambda *_: imitates)
    chosen = device.choose_device(TrainingSection(precision="bf16"))
    assert chosen.imitates is ("forty times as slowly" in chosen.reason) is imitates
    assert not device.choose_device(TrainingSection()).imitates


def test_the_plan_counts_what_peft_makes(toy):
    recipe = parse({"lora": {"rank": 8, "targets": "mlp", "method": "dora"}})
    # 30 layers; per layer 8 * (in + out) of three projections, and DoRA's magnitude per output.
    projections = [(576, 1536), (576, 1536), (1536, 576)]
    expected = 30 * sum(8 * (inputs + outputs) + outputs for inputs, outputs in projections)
    assert trainable_parameters(recipe) == expected


@pytest.mark.parametrize(
    ("rows", "batch", "accumulation", "epochs", "steps"),
    [(285, 4, 2, 1, 36), (285, 4, 4, 2, 36), (1, 4, 4, 1, 1), (16, 4, 4, 1, 1), (17, 4, 4, 1, 2), (17, 4, 4, 0.1, 1)],
)
def test_the_plan_counts_steps_as_the_trainer_does(rows, batch, accumulation, epochs, steps):
    recipe = parse({"training": {"batch": batch, "accumulation": accumulation, "epochs": epochs}})
    assert plan(recipe, rows).steps == steps
