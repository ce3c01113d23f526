"""PiSSA (arXiv:2404.02948): the adapter begins as the strongest directions of each weight, the base keeps the rest.

What is saved is a LoRA for the untouched base, of twice the rank: what the adapter is now, less what it began as. Both
halves can be read back to the bit, so that a resumed run trains on the very same rest, on whatever machine.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

from core.errors import ModelError
from core.files import write_whole

ADAPTER = "default"
# The paper's fast decomposition; what it misses stays in the base, so the sum is exact all the same.
FAST = "pissa_niter_16"


def begin(model: PeftModel, saved: Path | None) -> None:
    """Split every target into adapter and rest: anew, or as a checkpoint's adapter was, with what it has learned since."""
    tensors = load_file(saved / "adapter_model.safetensors") if saved else None
    with _exact_products():
        for name, layer in _layers(model):
            whole = layer.get_base_layer().weight.data
            a, b = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight  # (rank, in), (out, rank)
            if tensors is None:
                _check_rank(name, layer)
                layer.pissa_init(ADAPTER, FAST)
                begun_a, begun_b = a.data.clone(), b.data.clone()
            else:
                a_now, begun_a = tensors[f"{name}.lora_A.weight"].to(whole.device).chunk(2, dim=0)
                b_now, negative_b = tensors[f"{name}.lora_B.weight"].to(whole.device).chunk(2, dim=1)
                begun_b = -negative_b
                a.data, b.data = a_now.contiguous(), b_now.contiguous()
            rest = whole.float() - layer.scaling[ADAPTER] * (begun_b.contiguous() @ begun_a.contiguous())
            layer.get_base_layer().weight.data = rest.to(whole.dtype)
            layer.pissa_began = (begun_a.cpu(), begun_b.cpu())
    if tensors:  # and what else was learned: biases, the template's tokens
        halves = (".lora_A.weight", ".lora_B.weight")
        set_peft_model_state_dict(model, {name: found for name, found in tensors.items() if not name.endswith(halves)})


def as_lora(folder: Path, model: PeftModel) -> None:
    """Make a saved adapter one for the untouched base: B A - B0 A0, as matrices side by side."""
    file, config_file = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    tensors = load_file(file)
    for name, layer in _layers(model):
        begun_a, begun_b = layer.pissa_began
        a, b = f"{name}.lora_A.weight", f"{name}.lora_B.weight"
        tensors[a] = torch.cat([tensors[a], begun_a])
        tensors[b] = torch.cat([tensors[b], -begun_b], dim=1)
    save_file(tensors, file, metadata={"format": "pt"})
    config = json.loads(config_file.read_text(encoding="utf-8"))
    # Alpha over rank, the scale, stays what it was.
    doubled = {key: 2 * config[key] for key in ("r", "lora_alpha")}
    for key in ("rank_pattern", "alpha_pattern"):
        doubled[key] = {name: 2 * value for name, value in config[key].items()}
    write_whole(config_file, json.dumps(config | doubled, indent=1))


def _layers(model: PeftModel) -> Iterator[tuple[str, LoraLayer]]:
    return ((name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer))


def _check_rank(name: str, layer: LoraLayer) -> None:
    largest = min(layer.in_features, layer.out_features)
    if layer.r[ADAPTER] > largest:
        raise ModelError(
            f"lora.rank: {layer.r[ADAPTER]} is more than PiSSA can take out of {name.rpartition('.')[2]}, which has "
            f"{largest} directions. Lower it to {largest}, or leave that module out of lora.targets."
        )


@contextmanager
def _exact_products() -> Iterator[None]:
    """Products in full fp32: in training they may be shorter, but what is taken from the base must be what is saved."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
