"""Where a training's memory comes from, and what is kept of it: settings of the worker's environment, and its allocator. No torch.

On a CPU under Linux, Intel's tbbmalloc instead of glibc's malloc, which lays blocks where others have left holes, so that what
it holds differs by a tenth from process to process. Where it is not installed, glibc's, with its model beside the heap.
"""

import ctypes
import os
import platform
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from core.hardware import Device
from core.models.tbb import give_back_blocks, keep_blocks_from
from core.recipe import Recipe

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
# oneDNN keeps the code that it makes for each shape of a product, and PyTorch's way to it (ideep) what describes that, a quarter of
# a megabyte each: of a thousand shapes by default, which is half a gigabyte once batches have had many lengths. A step has
# about so many shapes, of which each conversation brings its own; fewer would be made anew in every layer.
SHAPES, SHAPES_OF_A_CONVERSATION, MOST_SHAPES = 64, 32, 1024
KEPT_SHAPES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
# Names of settings in glibc's malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
MOST = 2**31 - 1
# So much more than asked is taken from the system at once.
AHEAD_BYTES = 64 << 20
# Blocks from this size on tbbmalloc would give back to the system.
KEPT_BYTES = 1 << 20


def surroundings(recipe: Recipe, device: Device) -> dict[str, str]:
    """What the environment of a training on a device needs."""
    found = {"GLIBC_TUNABLES": BESIDE_THE_HEAP}
    if device == "cuda":
        unable = any(word in platform.release().lower() for word in WITHOUT_GROWING)
        return found if unable else found | {"PYTORCH_ALLOC_CONF": GROWING}
    return found | _preloaded() | dict.fromkeys(KEPT_SHAPES, str(_shapes(recipe)))


def _preloaded() -> dict[str, str]:
    """For the system's loader: the allocator, if it was installed with the studio in a folder that can be said there."""
    try:
        installed = {file.name: str(Path(file.locate()).resolve()) for file in files("tbb") or () if file.name in TBB}
    except PackageNotFoundError:
        return {}
    apart = set(" :") & set("".join(installed.values()))
    return {} if apart or len(installed) < len(TBB) else {"LD_PRELOAD": ":".join(installed[name] for name in TBB)}


def _shapes(recipe: Recipe) -> int:
    if recipe.data.packs:  # how many conversations lie in a packed row nobody knows
        return MOST_SHAPES
    conversations = recipe.training.batch * recipe.conversations_per_row
    return min(MOST_SHAPES, SHAPES + SHAPES_OF_A_CONVERSATION * conversations)


def keep_blocks() -> None:
    """From now on keep what is freed for the next that asks, where this process was begun with its `surroundings`.

    A training takes and gives back the same large blocks again and again. By default each is asked anew of the system, zeroed
    page by page: with glibc a step takes three times as long.
    """
    if keep_blocks_from(KEPT_BYTES):
        return
    if os.environ.get("GLIBC_TUNABLES") == BESIDE_THE_HEAP and hasattr(ctypes.CDLL(None), "mallopt"):
        for setting, value in ((TRIM_THRESHOLD, MOST), (TOP_PAD, AHEAD_BYTES), (MMAP_THRESHOLD, MOST)):
            ctypes.CDLL(None).mallopt(setting, value)


class Blocks:
    """What an allocator keeps of a batch, block by block, serves the next of that shape; of another it only lies beside it."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] | None = None

    def for_a_batch(self, shape: tuple[int, ...]) -> None:
        """Before a batch is computed: keep what the last one had, or give it back."""
        if shape != self.shape:
            give_back_blocks()
            self.shape = shape
