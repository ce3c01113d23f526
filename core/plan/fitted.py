"""What was measured and not counted: every constant of the plan that arithmetic does not give, with how it was measured.

On two CPU cores with bf16 instructions, torch 2.13, transformers 5.23, peft 0.21, the starter model: what the worker's
process held and took in the twenty settings of `python -m benchmarks.plan`, fitted by least squares of the relative errors.
Those of GPUs: the same benchmark's eight settings of Llama-3.2-1B on an H200 of a virtual machine, torch 2.11, Liger kernels;
what it does not show there, the products and the numbers gone through, is counted from what is read and written. A probe
corrects them all.
"""

from typing import NamedTuple

from core.hardware import Device

# The worker's process without a model, after its imports and what tokenizer and data leave.
CPU_PROCESS_BYTES = 520_000_000
# What the driver, cuBLAS and their workspaces take of a GPU before the first tensor.
CUDA_CONTEXT_BYTES = 790_000_000
# Beyond what is kept for the backward pass: what is there for a moment, and gaps between blocks, which stay with the process.
SLACK: dict[Device, float] = {"cpu": 0.05, "cuda": 0.02, "mps": 0.30}
# The gaps on a CPU where blocks in 16 and in 32 bits, or packed ones, come in turns.
SLACK_ALTERNATING = 0.27
# So many layers' activations come and go between what is kept where layers are computed again.
COMPUTED_AGAIN: dict[Device, float] = {"cpu": 3, "cuda": 0, "mps": 0}
# Numbers of one token, as multiples of the widest part of a layer, that are there for a moment in its backward pass.
MOMENTARY_WIDTHS = 4
# Bytes of each number that an optimiser with a state of 8 bits unpacks on a CPU, one tensor at a time.
UNPACKED_STATE_BYTES = 20

# Multiplications and additions a second in matrix products, where none were measured on the machine; with bf16 and without.
CPU_CORE_FLOPS = {True: 190e9, False: 50e9}
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
    "cpu": Visits(20, 6.5, 6, 17, 170),
    "cuda": Visits(2, 2.5, 2, 0, 20),
    "mps": Visits(8, 0, 4, 4, 20),
}
# Seconds of a layer that no arithmetic explains: its calls from Python, forwards and backwards; those of an adapter that is no
# step with its projection, and those of a projection that is unpacked.
LAYER_S: dict[Device, float] = {"cpu": 5e-3, "cuda": 8.5e-3, "mps": 1.5e-3}
ADAPTER_S: dict[Device, float] = {"cpu": 0, "cuda": 0.5e-3, "mps": 0}
UNPACKING_S: dict[Device, float] = {"cpu": 0, "cuda": 0.4e-3, "mps": 0}
# Weights that an optimiser updates in a second on a CPU, and how many times as long one with a state of 8 bits takes there. A GPU
# goes through each weight as often as this: it reads weight, gradient and two moments, and writes all but one of them.
UPDATED_PER_S = 0.2e9
EIGHT_BIT_SLOWER = 1.65
UPDATE_VISITS = 3.5
# Weights in 4 or 8 bits that are turned back into numbers in a second.
UNPACKED_PER_S: dict[Device, float] = {"cpu": 0.225e9, "cuda": 100e9, "mps": 20e9}
# Seconds before the first step: libraries, the tokenizer, and so many bytes of weights a second.
STARTUP_S = 12
LOAD_BYTES_PER_S = 1e9
