"""What was measured and not counted: every constant of the plan that arithmetic does not give, with how it was measured.

On two CPU cores with bf16 instructions, torch 2.13, transformers 5.23, peft 0.21, the starter model: what the worker's
process held and took in the twenty settings of `python -m benchmarks.plan`, fitted by least squares of the relative errors.
Those of GPUs: the same benchmark's settings of Llama-3.2-1B, for the time also of 3B, on an H200 of a virtual machine, torch
2.11, with and without Liger kernels; what it does not show there, the products and the numbers gone through, is counted from
what is read and written. A probe corrects them all.
"""

from typing import NamedTuple

from core.hardware import Device

# The worker's process without a model, after its imports and what tokenizer and data leave: as fitted with PyTorch's compiler
# loaded, less the 45 MB that it holds (`python -m benchmarks.begin`).
CPU_PROCESS_BYTES = 705_000_000
# What the driver, cuBLAS and their workspaces take of a GPU before the first tensor.
CUDA_CONTEXT_BYTES = 790_000_000
# Beyond what is kept for the backward pass: what is there for a moment, and gaps between blocks, which stay with the process.
SLACK: dict[Device, float] = {"cpu": 0.02, "cuda": 0.02, "mps": 0.30}
# Numbers of one token, as multiples of the widest part of a layer, that are there for a moment in its backward pass.
MOMENTARY_WIDTHS = 4
# Bytes of each number that an optimiser with a state of 8 bits unpacks on a CPU, one tensor at a time.
UNPACKED_STATE_BYTES = 20

# Multiplications and additions a second in matrix products, where none were measured on the machine; with bf16 and without.
CPU_CORE_FLOPS = {True: 190e9, False: 50e9}
# On two AVX2 cores a product of 512 by 576 by 1,536 numbers took 1.4 s in bf16 and 0.03 s in fp32, one of 256 rows 30 times as long.
IMITATED_SLOWER = 40
GPU_FLOPS: dict[tuple[int, int], float] = {(7, 5): 22e12, (8, 0): 130e12, (8, 6): 45e12, (8, 9): 80e12, (9, 0): 500e12}
OTHER_FLOPS = 5e12
# Numbers a second that an activation function goes through, where none were measured.
NUMBERS_PER_S: dict[Device, float] = {"cpu": 4e9, "cuda": 37e9, "mps": 12e9}


class Visits(NamedTuple):
    """How often what is no product goes through a number, forwards and backwards, in activation functions' worth."""

    through: float  # what goes into a projection or comes out of one
    plain: float  # the same once more where projection and adapter are not one step
    dropped: float  # what may be dropped before an adapter
    score: float  # how much one token attends to another, of each head
    scaled: float  # a weight whose norm DoRA takes


VISITS: dict[Device, Visits] = {
    "cpu": Visits(16, 7, 13, 27, 240),
    "cuda": Visits(2, 2.5, 2, 0, 20),
    "mps": Visits(8, 0, 4, 4, 20),
}
# Calls of an operation from Python in a second, on the hosts where the seconds below were measured; and where none were measured.
CALLS_PER_S: dict[Device, float] = {"cpu": 0.575e6, "cuda": 0.153e6, "mps": 0.3e6}
# Seconds of a layer that no arithmetic explains: its calls from Python, forwards and backwards; those of an adapter that is no
# step with its projection, and those of a projection that is unpacked.
LAYER_S: dict[Device, float] = {"cpu": 4.6e-3, "cuda": 8e-3, "mps": 1.5e-3}
ADAPTER_S: dict[Device, float] = {"cpu": 0, "cuda": 0.12e-3, "mps": 0}
UNPACKING_S: dict[Device, float] = {"cpu": 0, "cuda": 0.45e-3, "mps": 0}
# The part of the shorter of both, a GPU's work and the calls of it, that goes on beside the longer.
BESIDE_CALLS = 0.78
# Weights that an optimiser updates in a second on a CPU, and how many times as long one with a state of 8 bits takes there. A GPU
# goes through each weight as often as this: it reads weight, gradient and two moments, and writes all but one of them.
UPDATED_PER_S = 0.31e9
EIGHT_BIT_SLOWER = 3
UPDATE_VISITS = 3.5
# Weights in 4 or 8 bits that are turned back into numbers in a second.
UNPACKED_PER_S: dict[Device, float] = {"cpu": 0.213e9, "cuda": 100e9, "mps": 20e9}
# Seconds before the first step: libraries, the tokenizer, and so many bytes of weights a second.
STARTUP_S = 12
LOAD_BYTES_PER_S = 1e9
