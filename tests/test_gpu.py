"""What only a CUDA GPU can show, on toys: each precision, each method, its attention, and a memory that is too small."""

import math

import pytest
import torch

from core.jobs.folder import Job
from core.plan.measured import measurements
from core.training import run as training
from core.training.device import Device
from core.training.documents import NAME as BY_CONVERSATION
from core.training.documents import attention
from core.training.methods import METHODS
from tests.toy_model import make_toy_model
from tests.toy_training import new_folder, resume, toy_recipe, train

pytestmark = [pytest.mark.process, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")]

BF16 = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
PRECISIONS = ["fp32", "fp16", *(["bf16"] if BF16 else [])]
AS_CLOSE = {"fp32": 1e-3, "fp16": 5e-3, "bf16": 3e-2}


def losses(job: Job) -> list[float]:
    return list(job.metrics["loss"])


def alike(toy, name: str, **sections) -> Job:
    """A run without dropout, whose draws would differ from device to device."""
    lora = {"dropout": 0.0} | sections.pop("lora", {})
    return train(new_folder(toy_recipe(toy, lora=lora, **sections), f"20260101-000000-{name}"))


@pytest.fixture(scope="module", autouse=True)
def on_the_cpu(toy, tmp_path_factory) -> list[float]:
    """The losses of the same training there; before all others, as Liger's kernels stay in a process that has used them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(training, "choose_device", lambda section: Device("cpu", "CPU", "fp32", "A test."))
        found = losses(alike(toy, "cpu", training={"precision": "fp32"}))
    torch.set_num_threads(before)
    return found


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_precision_learns_what_the_cpu_learns(toy, on_the_cpu, precision):
    job = alike(toy, precision, training={"precision": precision})
    assert job.result["status"] == "finished"
    assert job.resolved["precision"]["name"] == precision
    assert losses(job) == pytest.approx(on_the_cpu, rel=AS_CLOSE[precision])


@pytest.mark.parametrize("method", METHODS)
def test_each_method_trains_and_goes_on_where_it_was_stopped(toy, method):
    lora = {"method": method} | ({} if METHODS[method].whole else {"rank": 4, "alpha": 8})
    whole = train(new_folder(toy_recipe(toy, lora=lora), "20260101-000000-whole"))
    job = train(new_folder(toy_recipe(toy, lora=lora), "20260101-000000-parts"), stop_at=6)
    assert job.result["status"] == "stopped"
    assert resume(job).result["status"] == "finished"
    assert list(job.metrics["step"]) == list(whole.metrics["step"])
    # Kernels of a GPU may add up in another order each time.
    assert losses(job) == pytest.approx(losses(whole), rel=0.02)
    assert any(folder.exists() for folder in job.files.finals)


def test_fp16_saves_its_scale_of_the_loss(toy):
    job = train(new_folder(toy_recipe(toy, training={"precision": "fp16"})))
    assert {"scaler.pt"} <= set(job.checkpoints[-1].manifest["files"])


@pytest.mark.skipif(not BF16, reason="FlashAttention needs an Ampere GPU or a newer one")
def test_conversations_in_one_row_learn_what_padded_ones_learn(toy):
    padded, beside = (alike(toy, packing, data={"packing": packing}) for packing in ("off", "auto"))
    chosen = [job.resolved["speed"]["attention"]["choice"] for job in (padded, beside)]
    assert chosen == ["sdpa", BY_CONVERSATION.replace("_", " ")]
    assert losses(beside) == pytest.approx(losses(padded), rel=AS_CLOSE["bf16"])


@pytest.mark.skipif(not BF16, reason="FlashAttention needs an Ampere GPU or a newer one")
@pytest.mark.parametrize("grouped", [6, 2])
def test_the_short_attention_and_its_gradients_are_the_exact_ones(grouped):
    drawn = torch.Generator("cuda").manual_seed(1)
    ends = torch.tensor([0, 1, 18, 40], dtype=torch.int32, device="cuda")
    exact = [
        torch.randn(1, heads, 40, 64, generator=drawn, device="cuda").requires_grad_()
        for heads in (6, grouped, grouped)
    ]
    short = [one.detach().bfloat16().requires_grad_() for one in exact]
    outs = [attention(torch.nn.Module(), *qkv, None, cu_seq_lens_q=ends, max_length_q=22)[0] for qkv in (exact, short)]
    slope = torch.randn(outs[0].shape, generator=drawn, device="cuda")
    slopes = [torch.autograd.grad(out, qkv, slope.to(out.dtype)) for out, qkv in zip(outs, (exact, short), strict=True)]
    for one, other in zip((outs[0], *slopes[0]), (outs[1], *slopes[1]), strict=True):
        assert (one - other.float()).norm() < 0.02 * one.norm()


def test_a_memory_that_is_too_small_is_answered_with_smaller_batches(tmp_path):
    """Torch's own error, raised by its allocator: the process may hold no more than a share of the GPU."""
    model = make_toy_model(tmp_path / "wide", hidden_size=512, intermediate_size=2048, num_hidden_layers=4)
    cuts = {name: {"max_steps": 2, "batch": batch, "accumulation": 16 // batch} for name, batch in BATCHES.items()}
    once = {name: {"activation_checkpointing": "off"} | cut for name, cut in cuts.items()}
    few, all_at_once = (_most_reserved(model, name, once[name]) for name in BATCHES)
    torch.cuda.set_per_process_memory_fraction(
        (few + all_at_once) / 2 / torch.cuda.get_device_properties().total_memory
    )
    try:
        job = alike(model, "small", training=once["all"])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "out_of_memory" in [event["event"] for event in job.events]
    assert job.resolved["micro_batch"]["batch"] < 16
    known = measurements(torch.cuda.get_device_name(), str(model))
    (found,) = (one for one in known if one.source == "run that did not fit" and one.recipe.training.batch == 16)
    assert found.step_s is None and found.peak_bytes > all_at_once
    assert job.result["status"] == "finished"
    assert all(map(math.isfinite, losses(job)))


BATCHES = {"few": 2, "all": 16}


def _most_reserved(model, name: str, cut: dict) -> int:
    torch.cuda.empty_cache()
    alike(model, name, training=cut)
    return torch.cuda.max_memory_reserved()
