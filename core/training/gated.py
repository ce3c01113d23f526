"""On a CPU with bf16 instructions: the gated part of a layer keeps half as much for its gradient, in half the bits.

PyTorch keeps three fp32 tensors as wide as the part of `silu(gate) * up`, more than all the rest of a layer; here it is
the two it came from, in bf16, and the rest is computed again. What it gives is the same to the last bit.
"""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

SHORT = torch.bfloat16
PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
# Tokens to try a module with.
TRIED = 3


def use_in(base: PreTrainedModel) -> int:
    """Let all gated parts of a model that can be computed this way; how many they are."""
    parts = [module for module in base.modules() if _gated(module)]
    for part in parts:
        part.forward = _Gated(part)
    return len(parts)


@torch.no_grad()
def _gated(module: nn.Module) -> bool:
    """Whether a module is down(silu(gate) * up) and nothing else: by its parts, then by what it gives."""
    if not all(hasattr(module, name) for name in PROJECTIONS) or not _is_silu(getattr(module, "act_fn", None)):
        return False
    width = getattr(module.gate_proj, "in_features", None)
    if width is None or module.gate_proj.weight.dtype not in (torch.float32, SHORT):
        return False
    x = torch.linspace(-1, 1, TRIED * width).view(1, TRIED, width)
    trained = module.training
    module.eval()  # no dropout, whose draws would differ
    same = torch.equal(module(x), _Gated(module)(x))
    module.train(trained)
    return same


def _is_silu(function: Any) -> bool:
    return isinstance(function, nn.SiLU) or type(function).__name__ == "SiLUActivation"


class _Gated:
    """The forward of one gated part."""

    def __init__(self, part: nn.Module):
        self.part = part

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.part.down_proj(Product.apply(self.part.gate_proj(x), self.part.up_proj(x)))


class Product(torch.autograd.Function):
    """silu(gate) * up, elementwise, and its gradients from what both were in bf16."""

    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(gate.to(SHORT), up.to(SHORT))
        return nn.functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate, up = (kept.to(grad.dtype) for kept in ctx.saved_tensors)
        of_gate = torch.ops.aten.silu_backward(up.mul_(grad), gate)
        return of_gate, nn.functional.silu(gate, inplace=True).mul_(grad)
