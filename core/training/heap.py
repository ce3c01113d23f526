"""Where a training's blocks of memory come from: that it holds as much every time, and not a half more for holes. No torch.

On a CPU under Linux, Intel's tbbmalloc instead of glibc's malloc, which lays blocks where others have left holes, so that what
it holds differs by a fifth from process to process. Where it is not installed, glibc's, with its model beside the heap.
"""

import ctypes
import os
import platform
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from core.hardware import Device

# Both are loaded before anything else; the second needs the first, and gives everybody its malloc.
TBB = ("libtbbmalloc.so.2", "libtbbmalloc_proxy.so.2")
# What glibc reads as a worker begins. Weights, and what is there only while they are loaded, get blocks of their own from the
# system, so that the heap is empty when the first step begins. The last two put freed blocks together at once: the slivers
# that aligned blocks leave would else keep them apart for ever.
BESIDE_THE_HEAP = "glibc.malloc.mmap_threshold=262144:glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"
# The same for torch's blocks on a GPU: they grow in place, so that batches of other lengths leave no holes (torch's notes on
# CUDA, "expandable_segments").
GROWING = "expandable_segments:True"
# Where drivers refuse that: Windows' Linux (pytorch/pytorch issue 192330) and Jetson boards (unslothai/unsloth issue 1446).
WITHOUT_GROWING = ("microsoft", "tegra")
# Names of settings in glibc's malloc.h, and in oneTBB's scalable_allocator.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
CLEAN_ALL_BUFFERS, HUGE_SIZE_THRESHOLD = 0, 2
MOST = 2**31 - 1
# So much more than asked is taken from the system at once.
AHEAD_BYTES = 64 << 20
# Blocks from this size on tbbmalloc would give back to the system.
KEPT_BYTES = 1 << 20


def surroundings(device: Device, system: str | None = None) -> dict[str, str]:
    """What the environment of a training on a device needs; `system` is the kernel's name for itself."""
    if device == "cuda":
        unable = any(word in (system or platform.release()).lower() for word in WITHOUT_GROWING)
        return {} if unable else {"PYTORCH_ALLOC_CONF": GROWING}
    if found := _tbb():
        return {"LD_PRELOAD": ":".join(map(str, found))}
    return {"GLIBC_TUNABLES": BESIDE_THE_HEAP}


def _tbb() -> list[Path]:
    """The two libraries, if they are installed with the studio."""
    try:
        installed = {file.name: Path(file.locate()).resolve() for file in files("tbb") or () if file.name in TBB}
    except PackageNotFoundError:
        return []
    return [installed[name] for name in TBB] if len(installed) == len(TBB) else []


def keep_blocks() -> None:
    """From now on keep what is freed for the next that asks, where this process was begun with its `surroundings`.

    A training takes and gives back the same large blocks again and again. By default each is asked anew of the system, zeroed
    page by page: with glibc a step takes three times as long.
    """
    if TBB[1] in os.environ.get("LD_PRELOAD", ""):
        tbb = ctypes.CDLL(TBB[0])
        tbb.scalable_allocation_command(CLEAN_ALL_BUFFERS, None)
        tbb.scalable_allocation_mode(HUGE_SIZE_THRESHOLD, ctypes.c_ssize_t(KEPT_BYTES))
    elif os.environ.get("GLIBC_TUNABLES") == BESIDE_THE_HEAP and (
        set_to := getattr(ctypes.CDLL(None), "mallopt", None)
    ):
        for setting, value in ((TRIM_THRESHOLD, MOST), (TOP_PAD, AHEAD_BYTES), (MMAP_THRESHOLD, MOST)):
            set_to(setting, value)
