"""On a GPU: a frozen layer and its LoRA as one step in the layer's 16 bits (`short_lora`).

PEFT and autocast make a copy in 32 bits of what is fed into each adapter, drop some of it, and make one in 16 bits again,
and call some thirty small functions from Python for each layer: on a fast GPU those take longer than its products.
"""

from typing import Any

import torch


class Layer(torch.autograd.Function):
    """y = x W' + bias + scale * dropout(x) A' B', and its gradients for x, A and B."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,  # (batch, seq, in)
        short: torch.Tensor,  # (tokens, in), the same in 16 bits
        weight: torch.Tensor,  # (out, in)
        bias: torch.Tensor | None,
        a: torch.Tensor,  # (rank, in), in 32 bits
        b: torch.Tensor,  # (out, rank)
        scale: float,
        dropout: float,
    ) -> torch.Tensor:
        dropped, kept = torch.native_dropout(short, dropout, True) if dropout else (short, None)
        learned, a, b = a.dtype, a.to(weight.dtype), b.to(weight.dtype)
        inner = dropped @ a.t()  # (tokens, rank)
        found = torch.nn.functional.linear(short, weight, bias).addmm_(inner, b.t(), alpha=scale)
        ctx.scale, ctx.dropout, ctx.shape, ctx.dtypes = scale, dropout, x.shape, (x.dtype, learned)
        ctx.save_for_backward(short, weight, a, b, inner, kept)
        return found.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        short, weight, a, b, inner, kept = ctx.saved_tensors
        slope = grad.flatten(0, -2).to(weight.dtype)  # (tokens, out)
        through = slope @ b  # (tokens, rank)
        of_a = (through.t() @ _drop(short, kept, ctx.dropout)).to(ctx.dtypes[1]).mul_(ctx.scale)
        of_b = (slope.t() @ inner).to(ctx.dtypes[1]).mul_(ctx.scale)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = slope @ weight
            of_x.add_(_drop(through @ a, kept, ctx.dropout), alpha=ctx.scale)
            of_x = of_x.to(ctx.dtypes[0]).view(ctx.shape)
        return of_x, None, None, None, of_a, of_b, None, None


def _drop(values: torch.Tensor, kept: torch.Tensor | None, dropout: float) -> torch.Tensor:
    """Zero what is not kept, and make the rest louder, so that the mean stays."""
    return values if kept is None else torch.ops.aten.native_dropout_backward(values, kept, 1 / (1 - dropout))
