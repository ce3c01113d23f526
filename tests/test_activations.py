"""What the plan says that autograd keeps is what autograd keeps, byte for byte where it can be counted."""

import weakref

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from core.models.shape import shape_in
from core.plan.activations import kept_bytes
from core.plan.setting import Setting
from core.plan.trainable import TARGETS
from core.plan.workload import Batch
from core.recipe import parse
from core.training import documents, gated, short_lora
from core.training.methods import METHODS

LENGTHS = (48, 30)


def config(layers: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=176,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=True,
    )


class Kept:
    """A tensor for as long as a node of the graph keeps it, which is gone with the node."""

    def __init__(self, tensor: torch.Tensor):
        self.tensor, self.storage = tensor, tensor.untyped_storage()


def kept_by_autograd(base: LlamaForCausalLM, model: torch.nn.Module, short: bool) -> int:
    """Bytes of all that a forward pass of two conversations keeps, the weights left out."""
    known = {weights.untyped_storage().data_ptr() for weights in model.parameters()}
    found: weakref.WeakSet[Kept] = weakref.WeakSet()

    def pack(tensor: torch.Tensor) -> Kept:
        found.add(kept := Kept(tensor))
        return kept

    ends = torch.tensor([0, *LENGTHS]).cumsum(0).int()
    positions = torch.cat([torch.arange(length) for length in LENGTHS])[None]
    layout = {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": 48, "max_length_k": 48}
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=short),
    ):
        ids = torch.ones(1, sum(LENGTHS), dtype=torch.long)
        kept = base.model(input_ids=ids, position_ids=positions, use_cache=False, **layout)
    assert kept.last_hidden_state.requires_grad
    storages = {kept.storage.data_ptr(): kept.storage.nbytes() for kept in found}
    return sum(size for place, size in storages.items() if place not in known)


def both(
    layers: int, method="lora", dropout=0.0, targets="all-linear", short=False, first=None, cpu_bf16=False
) -> tuple[int, int]:
    """Bytes as counted by the plan, and as kept by autograd."""
    base = LlamaForCausalLM(config(layers)).to(torch.bfloat16 if short and method != "full" else torch.float32)
    assert documents.use_in(base, 1024) is None
    model = base
    if method != "full":
        names = list(TARGETS[targets])
        chosen = None if first is None else list(range(first, layers))
        model = get_peft_model(
            base,
            LoraConfig(
                r=4,
                lora_dropout=dropout,
                target_modules=names,
                layers_to_transform=chosen,
                task_type="CAUSAL_LM",
                **METHODS[method].config,
            ),
        ).train()
        for weights in model.parameters():
            weights.data = weights.data.float() if weights.requires_grad else weights.data
    lora = {"method": method} | ({} if method == "full" else {"rank": 4, "targets": targets, "first_layer": first})
    recipe = parse({"lora": lora | {"dropout": dropout}})
    asked = Setting(recipe, shape_in(config(layers).to_dict()), "cpu", "bf16" if short else "fp32", cpu_bf16=cpu_bf16)
    if asked.in_one_step:
        assert short_lora.use_in(base)
    if asked.keeps_short:
        assert gated.use_in(base) == layers
    torch.set_float32_matmul_precision("medium" if asked.speed.products.name == "bf16" else "highest")
    counted = kept_bytes(asked, Batch(sum(LENGTHS), 10, max(LENGTHS)))
    return counted, kept_by_autograd(base, model.train(), short)


@pytest.fixture(autouse=True)
def the_products_of_before():
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("method", ["lora", "dora", "full"])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("cpu_bf16", [False, True])
def test_a_layer_more_keeps_what_the_plan_says(method, dropout, cpu_bf16):
    counted, kept = zip(*(both(layers, method, dropout, cpu_bf16=cpu_bf16) for layers in (2, 3)), strict=True)
    # The copies of the adapter in 16 bits are counted with it.
    copies = 2 * 4 * (64 * 6 + 176 * 3 + 64 * 3 + 32 * 2) if cpu_bf16 and method == "lora" else 0
    # Of each output, however many tokens there are: the norm, the magnitude over it, and that less one.
    scales = 3 * 4 * (64 * 3 + 32 * 2 + 176 * 2) if method == "dora" else 0
    assert counted[1] - counted[0] == pytest.approx(kept[1] - kept[0] - copies - scales, rel=0.001)


@pytest.mark.parametrize("targets", ["all-linear", "attention", "mlp"])
@pytest.mark.parametrize(("dropout", "short"), [(0.0, False), (0.1, False), (0.0, True), (0.1, True)])
def test_the_whole_model_keeps_what_the_plan_says(targets, dropout, short):
    counted, kept = both(8, "lora", dropout, targets, short)
    assert counted == pytest.approx(kept, rel=0.05)


def test_layers_below_the_first_adapter_keep_nothing():
    counted, kept = both(8, first=4)
    assert counted == pytest.approx(kept, rel=0.05)
    assert counted < 0.6 * both(8)[0]
