"""What was measured and not counted: every constant of the plan that arithmetic does not give, with how it was measured.

On two CPU cores with bf16 instructions, torch 2.13, transformers 5.23, peft 0.21, the starter model, LoRA of rank 16: what the
worker's process held in trainings with batches of 256, 440, 1,024, 1,690, 1,940 and 2,230 tokens, of which the constants give
each within 6 %. They were not fitted to other methods. Those of GPUs are estimates from published figures, until
`python -m benchmarks.plan` has run on one. A probe corrects them all.
"""

from core.hardware import Device

# The worker's process without a model: 0.55 GB after its imports, the rest once tokenizer, data and optimiser have been used.
CPU_PROCESS_BYTES = 700_000_000
# What the driver, cuBLAS and their workspaces take of a GPU before the first tensor.
CUDA_CONTEXT_BYTES = 700_000_000
# Beyond what is kept for the backward pass: what is there for a moment, and gaps between blocks, which stay with the process.
SLACK: dict[Device, float] = {"cpu": 0.60, "cuda": 0.15, "mps": 0.30}
# Numbers of one token, as multiples of the widest part of a layer, that are there for a moment in its backward pass.
MOMENTARY_WIDTHS = 4
# Weights are loaded in 32 bits on a CPU; of what making them shorter frees, so much is never used again.
FREED_AND_LOST = 0.55

# Multiplications and additions a second in matrix products, where none were measured on the machine; with bf16 and without.
CPU_CORE_FLOPS = {True: 190e9, False: 50e9}
GPU_FLOPS: dict[tuple[int, int], float] = {(7, 5): 22e12, (8, 0): 130e12, (8, 6): 45e12, (8, 9): 80e12, (9, 0): 300e12}
OTHER_FLOPS = 5e12
# Bytes a second that go through memory, where none were measured.
BYTES_PER_S: dict[Device, float] = {"cpu": 20e9, "cuda": 300e9, "mps": 100e9}
# How often norms, dropout and activation functions go through the bytes that are kept, in a forward and backward pass.
TRAFFIC = 3
# Seconds of a layer that no arithmetic explains: its calls from Python, forwards and backwards.
LAYER_S: dict[Device, float] = {"cpu": 1.2e-3, "cuda": 1.5e-3, "mps": 1.5e-3}
# Weights in 4 or 8 bits that are turned back into numbers in a second.
UNPACKED_PER_S: dict[Device, float] = {"cpu": 0.4e9, "cuda": 100e9, "mps": 20e9}
# Seconds before the first step: libraries, the tokenizer, and so many bytes of weights a second.
STARTUP_S = 12
LOAD_BYTES_PER_S = 1e9
