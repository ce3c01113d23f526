"""A frozen layer and its LoRA as one step, multiplied in 16 bits: on a GPU (`gpu_lora`), and on a CPU with bf16 instructions.

On the CPU the layer's weights are held in bf16, in which fp32 products would round them at every call. PyTorch's own dropout
draws a number for each element with more work than the layer's product; here four come out of one draw. Only plain LoRA
on plain linear layers; all else keeps PEFT's way.
"""

import weakref
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import nn
from transformers import PreTrainedModel

from core.training import gpu_lora

ADAPTER = "default"
SHORT = torch.bfloat16
LEVELS = 2**16  # values of one drawn number


def use_in(base: PreTrainedModel) -> int:
    """Let all layers of a model with an adapter that can be computed this way; how many they are."""
    last = LastInput()
    layers = [module for module in base.modules() if _plain(module)]
    for layer in layers:
        weight = layer.get_base_layer().weight
        weight.data = weight.data if weight.is_cuda else weight.data.to(SHORT)
        layer.forward = _Short(layer, last)
    return len(layers)


def _plain(module: nn.Module) -> bool:
    if type(module) is not Linear or list(module.lora_A) != [ADAPTER] or ADAPTER in module.lora_variant:
        return False
    base = module.get_base_layer()
    if base.weight.is_cuda and base.weight.dtype is torch.float32:  # some models keep a few layers so
        return False
    frozen = not any(weights.requires_grad for weights in base.parameters())
    halves = (module.lora_A[ADAPTER], module.lora_B[ADAPTER])
    return type(base) is nn.Linear and frozen and all(half.bias is None for half in halves)


class LastInput:
    """The short form of the tensor that came last: layers side by side get the same one."""

    def __init__(self) -> None:
        self.source: Any = lambda: None
        self.short: torch.Tensor | None = None

    def of(self, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """In the format of a layer's weights. Not differentiated here: `Layer.backward` gives the gradient of the long form."""
        if x.dtype == dtype:
            return x.detach().flatten(0, -2)
        if self.source() is not x:
            self.source, self.short = weakref.ref(x), x.detach().to(dtype).flatten(0, -2)
        return self.short


class _Short:
    """The forward of one layer."""

    def __init__(self, layer: Linear, last: LastInput):
        self.layer, self.last = layer, last

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        layer = self.layer
        base = layer.get_base_layer()
        if layer.disable_adapters:
            return nn.functional.linear(x, base.weight.to(x.dtype), base.bias)
        dropout = layer.lora_dropout[ADAPTER]
        share = dropout.p if isinstance(dropout, nn.Dropout) and dropout.training else 0.0
        a, b = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
        step = gpu_lora.Layer if x.is_cuda else Layer
        return step.apply(
            x, self.last.of(x, base.weight.dtype), base.weight, base.bias, a, b, layer.scaling[ADAPTER], share
        )


class Layer(torch.autograd.Function):
    """y = x W' + bias + scale * dropout(x) A' B' in bf16, and its gradients for x, A and B."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,  # (batch, seq, in)
        short: torch.Tensor,  # (tokens, in), the same in bf16
        weight: torch.Tensor,  # (out, in), bf16
        bias: torch.Tensor | None,
        a: torch.Tensor,  # (rank, in)
        b: torch.Tensor,  # (out, rank)
        scale: float,
        dropout: float,
    ) -> torch.Tensor:
        kept, louder = _draw(short, dropout) if dropout else (None, 1.0)
        ctx.scale, ctx.louder, ctx.shape, ctx.dtype = scale, louder, x.shape, x.dtype
        a_short, b_short = (a * louder).to(SHORT), (b * scale).to(SHORT)
        inner = _drop(short, kept) @ a_short.t()  # (tokens, rank)
        # Added in x's own format: rounded to bf16 with the rest, what the adapter says at first would be lost.
        found = (short @ weight.t()).to(x.dtype).addmm_(inner.to(x.dtype), b_short.to(x.dtype).t())
        ctx.save_for_backward(short, weight, a_short, b_short, inner, *(() if kept is None else (kept,)))
        found = found.view(*x.shape[:-1], -1)
        return found if bias is None else found + bias

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        short, weight, a_short, b_short, inner, *rest = ctx.saved_tensors
        kept = rest[0] if rest else None
        slope = grad.flatten(0, -2).to(SHORT)  # (tokens, out)
        through = slope @ b_short  # (tokens, rank)
        of_a = (through.t() @ _drop(short, kept)).float().mul_(ctx.louder)
        of_b = (slope.t() @ inner).float().mul_(ctx.scale)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (slope @ weight).add_(_drop(through @ a_short, kept)).to(ctx.dtype).view(ctx.shape)
        return of_x, None, None, None, of_a, of_b, None, None


def _draw(like: torch.Tensor, dropout: float) -> tuple[torch.Tensor, float]:
    """Which elements are kept, and how much louder those are, so that the mean stays."""
    count = like.numel()
    drawn = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]
    levels = max(1, round((1 - dropout) * LEVELS))
    return (drawn < levels - LEVELS // 2).view(like.shape), LEVELS / levels


def _drop(values: torch.Tensor, kept: torch.Tensor | None) -> torch.Tensor:
    """Zero what is not kept: all its bits are taken, a tenth of the work of a product with true and false."""
    if kept is None:
        return values
    bits = kept.to(torch.int16).neg_()  # all ones where it is kept
    return (values.view(torch.int16) & bits).view(SHORT)
