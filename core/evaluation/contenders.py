"""The two that are compared, one after the other: the base model, and what was made of it."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import PreTrainedModel

from core.errors import ModelError
from core.models.load import Found, load_base
from core.recipe import Recipe
from core.training.device import Device
from core.training.methods import METHODS

Model = PreTrainedModel | PeftModel
T = TypeVar("T")


def each(recipe: Recipe, found: Found, tuned: Path, device: Device, look: Callable[[str, Model], T]) -> list[T]:
    """What `look` makes of the base, and then of the tuned model; raises ModelError.

    An adapter sits on the base and is switched off first; of whole models only one is in memory at a time. The base is
    held as it was in the training.
    """
    if METHODS[recipe.lora.method].whole:
        return [
            _whole(name, folder, device, look)
            for name, folder in (("base", found), ("tuned", Found(tuned, None, code=found.code)))
        ]
    base = load_base(found, device.weights_dtype, device.kind, METHODS[recipe.lora.method].bits)
    model = _with_adapter(base, tuned).eval()
    with model.disable_adapter():
        of_base = look("base", model)
    return [of_base, look("tuned", model)]


def _whole(name: str, found: Found, device: Device, look: Callable[[str, Model], T]) -> T:
    try:
        return look(name, load_base(found, device.weights_dtype, device.kind).eval())
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _with_adapter(base: PreTrainedModel, folder: Path) -> PeftModel:
    try:
        return PeftModel.from_pretrained(base, str(folder))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"The adapter in {folder} cannot be loaded: {str(error)[:300]}") from error
