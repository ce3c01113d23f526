"""Who speaks in each row of a batch: the base, or an adapter on it. Two small products a layer for all rows together.

PEFT can mix adapters too, one after another in every layer. Measured with the starter model on two cores, four rows of
base and three adapters: 13.8 steps per second with PEFT, 38 without any adapter; the base's rows are equal to the bit.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

# Rows that no adapter touches.
BASE = "__base__"

Forward = Callable[[torch.Tensor], torch.Tensor]


def is_plain(model: nn.Module, name: str) -> bool:
    """Whether an adapter is nothing but LoRA on linear layers, and can so share a batch with others; DoRA cannot."""
    return all(_plain_part(module, name) for module in _touched(model))


def _touched(module: nn.Module) -> Iterator[nn.Module]:
    """The layers that adapters sit on. Inside of them nothing is looked for: there are a dozen modules in each."""
    for child in module.children():
        if isinstance(child, BaseTunerLayer | AuxiliaryTrainingWrapper):
            yield child
        else:
            yield from _touched(child)


def _plain_part(module: nn.Module, name: str) -> bool:
    if isinstance(module, AuxiliaryTrainingWrapper):
        return name not in module._adapters
    if not isinstance(module, LoraLayer):
        return False
    if name in module.lora_embedding_A:
        return False
    is_linear = hasattr(module.get_base_layer(), "in_features")
    return name not in module.lora_A or (is_linear and name not in module.lora_variant)


class Voice:
    """How the layers of a model compute while its rows are these names."""

    def __init__(self, model: PreTrainedModel, names: tuple[str, ...]):
        self.names = names
        touched = list(_touched(model))
        layers = [module for module in touched if isinstance(module, LoraLayer)]
        self.beside = [module for module in touched if isinstance(module, AuxiliaryTrainingWrapper)]
        self.forwards = [(layer, _forward(layer, names, model.dtype)) for layer in layers]

    def speak(self) -> None:
        for layer, forward in self.forwards:
            layer.forward = forward
        # Tokens and layers that an adapter trained as a whole are nobody's here.
        for wrapper in self.beside:
            wrapper.enable_adapters(False)


def let_peft_speak(model: PeftModel, name: str) -> None:
    """Let all rows be one adapter, of whatever kind, by PEFT's own way."""
    for module in _touched(model):
        if isinstance(module, LoraLayer):
            module.__dict__.pop("forward", None)
        if isinstance(module, AuxiliaryTrainingWrapper):
            module.enable_adapters(True)
    model.set_adapter(name)


def _forward(layer: LoraLayer, names: tuple[str, ...], dtype: torch.dtype) -> Forward:
    base = layer.base_layer.forward
    parts = [_part(layer, name, dtype) for name in names]
    known = next((part for part in parts if part), None)
    if known is None:
        return base
    if len(set(names)) == 1:
        return partial(_alone, base, *known)
    nothing = tuple(torch.zeros_like(tensor) for tensor in known)
    return partial(_mixed, base, *_stacked([part or nothing for part in parts]))


Part = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # A (rank, in), B (out, rank) scaled, bias (out,) scaled


def _part(layer: LoraLayer, name: str, dtype: torch.dtype) -> Part | None:
    if name not in layer.lora_A:
        return None
    inner, outer, scale = layer.lora_A[name].weight, layer.lora_B[name], layer.scaling[name]
    bias = outer.bias if outer.bias is not None else outer.weight.new_zeros(outer.weight.shape[0])
    return inner.to(dtype), (outer.weight * scale).to(dtype), (bias * scale).to(dtype)


def _stacked(parts: list[Part]) -> Part:
    """A (row, in, rank), B (row, rank, out), bias (row, 1, out); lower ranks are filled up with zeros."""
    rank = max(inner.shape[0] for inner, _, _ in parts)
    inner = [nn.functional.pad(inner.T, (0, rank - inner.shape[0])) for inner, _, _ in parts]
    outer = [nn.functional.pad(outer.T, (0, 0, 0, rank - outer.shape[1])) for _, outer, _ in parts]
    return torch.stack(inner), torch.stack(outer), torch.stack([bias[None] for _, _, bias in parts])


def _alone(
    base: Forward, inner: torch.Tensor, outer: torch.Tensor, bias: torch.Tensor, x: torch.Tensor
) -> torch.Tensor:
    return base(x) + linear(linear(x, inner), outer, bias)


def _mixed(
    base: Forward, inner: torch.Tensor, outer: torch.Tensor, bias: torch.Tensor, x: torch.Tensor
) -> torch.Tensor:
    """x is (row, seq, in). A row of the base gets zeros added: its numbers stay what they are, to the bit."""
    return base(x) + torch.baddbmm(bias, torch.bmm(x, inner), outer)
