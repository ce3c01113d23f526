"""Whether an error says that the memory is too small."""

import torch

# What allocators say that have no error of their own: the CPU's, CUDA's beside torch's own, cuBLAS's.
WORDS = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_too_small(error: Exception) -> bool:
    """Whether an error says so: torch's own of a GPU has a type, others only words."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in WORDS)
