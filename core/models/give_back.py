"""Memory that is freed and yet not the system's: what libraries keep of it is given back."""

import ctypes
import gc
import platform
from contextlib import suppress

import torch

from core.models.tbb import give_back_blocks


def give_back() -> None:
    """Return what was freed to the system."""
    # PEFT and transformers models hold references in circles, and allocators keep freed blocks for themselves.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if platform.system() == "Linux":
        with suppress(AttributeError):  # another C library, such as musl, has no such function
            ctypes.CDLL(None).malloc_trim(0)
    give_back_blocks()
