"""Where a training's memory comes from, and what is kept of it: settings of the worker's environment, and of glibc. No torch."""

import ctypes
import os
import platform

from core.hardware import Device
from core.recipe import Recipe

# What glibc reads as a worker begins. Weights, and what is there only while they are loaded, get blocks of their own from the
# system, so that the heap is empty when the first step begins. The last two put freed blocks together at once: the slivers
# that aligned blocks leave would else keep them apart for ever.
BESIDE_THE_HEAP = "glibc.malloc.mmap_threshold=262144:glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"
# The same for torch's blocks on a GPU: they grow in place, so that batches of other lengths leave no holes (torch's notes on
# CUDA, "expandable_segments").
GROWING = "expandable_segments:True"
# Where drivers refuse that: Windows' Linux (pytorch/pytorch issue 192330) and Jetson boards (unslothai/unsloth issue 1446).
WITHOUT_GROWING = ("microsoft", "tegra")
# oneDNN keeps the code that it makes for each shape of a product, a thousand times by default: some hundred megabytes once batches
# have had many lengths. A step has about so many shapes, of which each conversation brings its own; fewer would be made anew in
# every layer.
SHAPES, SHAPES_OF_A_CONVERSATION, MOST_SHAPES = 64, 32, 1024
# Names of settings in glibc's malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
MOST = 2**31 - 1
# So much more than asked is taken from the system at once.
AHEAD_BYTES = 64 << 20


def surroundings(recipe: Recipe, device: Device) -> dict[str, str]:
    """What the environment of a training on a device needs."""
    found = {"GLIBC_TUNABLES": BESIDE_THE_HEAP}
    if device == "cuda":
        unable = any(word in platform.release().lower() for word in WITHOUT_GROWING)
        return found if unable else found | {"PYTORCH_ALLOC_CONF": GROWING}
    return found | {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(_shapes(recipe))}


def _shapes(recipe: Recipe) -> int:
    # How many conversations lie in a packed row nobody knows.
    several = MOST_SHAPES if recipe.data.packs else SHAPES + SHAPES_OF_A_CONVERSATION * recipe.training.batch
    return min(MOST_SHAPES, several)


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
