"""What was measured and not counted: every constant of the plan that arithmetic does not give, with how it was measured.

Measured by `python -m benchmarks.plan` on two CPU cores (AVX-512 with bf16), torch 2.13, transformers 5.23, peft 0.21; those of
GPUs are estimates from published figures until that script has run on one, and a probe replaces them all.
"""

from core.hardware import Device

# The worker's process before it loads a model: resident after `import core.training.run`.
CPU_LIBRARIES_BYTES = 545_000_000
# What the driver, cuBLAS and their workspaces take of a GPU before the first tensor.
CUDA_CONTEXT_BYTES = 700_000_000
# What is held beyond what is in use: gaps between tensors that the allocator cannot give to others.
SLACK: dict[Device, float] = {"cpu": 0.10, "cuda": 0.08, "mps": 0.10}
# Numbers of one token, as multiples of the widest part of a layer, that are there for a moment in its backward pass.
MOMENTARY_WIDTHS = 4

# Multiplications and additions a second in matrix products, where none were measured on the machine.
CPU_CORE_FLOPS = 60e9
GPU_FLOPS: dict[tuple[int, int], float] = {(7, 5): 22e12, (8, 0): 130e12, (8, 6): 45e12, (8, 9): 80e12, (9, 0): 300e12}
OTHER_FLOPS = 5e12
# Bytes of kept activations that the rest of a layer (norms, dropout, activation functions) goes through in a second.
BYTES_PER_S: dict[Device, float] = {"cpu": 4e9, "cuda": 300e9, "mps": 60e9}
# Seconds of a layer that no arithmetic explains: its calls from Python, forwards and backwards.
LAYER_S: dict[Device, float] = {"cpu": 1.2e-3, "cuda": 1.5e-3, "mps": 1.5e-3}
# Times that the weights in 4 or 8 bits are turned back into numbers in a second, in weights.
UNPACKED_PER_S: dict[Device, float] = {"cpu": 0.4e9, "cuda": 100e9, "mps": 20e9}
# Seconds before the first step: libraries, the tokenizer, and so many bytes of weights a second.
STARTUP_S = 12
LOAD_BYTES_PER_S = 1e9
