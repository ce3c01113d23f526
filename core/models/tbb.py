"""Intel's tbbmalloc, where this process was begun with it: `core/training/heap.py` says when. No torch."""

import ctypes
import functools
import platform

# From oneTBB's scalable_allocator.h.
CLEAN_ALL_BUFFERS, HUGE_SIZE_THRESHOLD = 0, 2


def give_back_blocks() -> None:
    """Return to the system what it has kept, if it is this process's allocator; glibc uses holes of any size again."""
    if tbb := _loaded():
        tbb.scalable_allocation_command(CLEAN_ALL_BUFFERS, None)


def keep_blocks_from(size: int) -> bool:
    """Keep blocks of so many bytes and more too, which it would give back to the system; False if it is not there."""
    if tbb := _loaded():
        tbb.scalable_allocation_mode(HUGE_SIZE_THRESHOLD, ctypes.c_ssize_t(size))
    return tbb is not None


@functools.cache
def _loaded() -> ctypes.CDLL | None:
    """The allocator, if it was loaded before everything else."""
    everything = ctypes.CDLL(None) if platform.system() == "Linux" else None
    return everything if hasattr(everything, "scalable_allocation_command") else None
