"""How a CPU answers fastest: weights in bf16 everywhere, long inputs multiplied in fp32 where bf16 products are slow.

Writing an answer reads every weight once per token, so half the bytes decide. Reading a prompt is arithmetic, and a CPU
without instructions for bf16 does that three times as fast in fp32. Measured on two AVX2 cores with the starter model:
tokens written per second 31 in bf16, 19 in fp32; CPU seconds to read 300 tokens 8.5 in bf16, 3.2 in fp32, 3.4 as here.

Threads of two processes that share cores wait for each other in every layer: beside a training, both cores gave 0.5 to 8
tokens per second, one gave 13.
"""

from functools import partial

import torch
from torch import nn
from torch.nn.functional import linear

# From so many tokens on, the arithmetic saved is worth a copy of the weights in fp32.
LONG_INPUT = 16

CORES = torch.get_num_threads()


def share_cores(with_others: bool) -> None:
    """Answer with all cores, or with half of them while others need them too; for the calling thread."""
    torch.set_num_threads(max(1, CORES // 2) if with_others else CORES)


def quicken(model: nn.Module) -> None:
    """Make a bf16 model read long inputs in fp32, one layer at a time, if this CPU is better at that."""
    # oneDNN multiplies bf16 from AVX-512 on (core, not only with the bf16 extensions).
    if torch.cpu.get_capabilities().get("avx512_bw"):
        return
    for layer in model.modules():
        if type(layer) is nn.Linear:
            layer.forward = partial(_forward, layer)


def _forward(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    if x.shape[-2] < LONG_INPUT:
        return linear(x, layer.weight, layer.bias)
    bias = None if layer.bias is None else layer.bias.float()
    return linear(x.float(), layer.weight.float(), bias).to(x.dtype)
