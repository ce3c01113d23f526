"""glibc's heap, on Linux: a model is loaded beside it, the steps of its training live in it. No torch."""

import ctypes
import os

# What glibc reads as a worker begins. Weights, and what is there only while they are loaded, get blocks of their own from the
# system, so that the heap is empty when the first step begins. The last two put freed blocks together at once: the slivers
# that aligned blocks leave would else keep them apart for ever.
BESIDE_THE_HEAP = "glibc.malloc.mmap_threshold=262144:glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"
# The same for torch's blocks on a GPU: they grow in place, so that batches of other lengths leave no holes (torch's notes on
# CUDA, "expandable_segments").
GROWING = "expandable_segments:True"
# Names of settings in its malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
MOST = 2**31 - 1
# So much more than asked is taken from the system at once.
AHEAD_BYTES = 64 << 20


def keep_blocks() -> None:
    """From now on keep what is freed for the next that asks, where this process was begun beside its heap.

    A training takes and gives back the same large blocks again and again. By default glibc asks the system for each anew,
    zeroed page by page: a step takes three times as long.
    """
    if os.environ.get("GLIBC_TUNABLES") != BESIDE_THE_HEAP:
        return
    if set_to := getattr(ctypes.CDLL(None), "mallopt", None):
        for setting, value in ((TRIM_THRESHOLD, MOST), (TOP_PAD, AHEAD_BYTES), (MMAP_THRESHOLD, MOST)):
            set_to(setting, value)
