"""Memory from the system itself, beside the heap: what lies there for long leaves no holes among what comes and goes."""

import mmap

import torch

from core.models.give_back import give_back

# Windows has no other.
PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


def room(size: int) -> torch.Tensor:
    """So many bytes, as long as somebody holds them; they take memory from when they are first written.

    Raises RuntimeError in the words of torch's allocator where the system has none left.
    """
    try:
        return _mapped(size)
    except OSError:
        give_back()
    try:
        return _mapped(size)
    except OSError as error:
        raise RuntimeError(f"can't allocate memory: {size:,} bytes ({error.strerror})") from error


def _mapped(size: int) -> torch.Tensor:
    return torch.frombuffer(mmap.mmap(-1, size, **PRIVATE), dtype=torch.uint8)
