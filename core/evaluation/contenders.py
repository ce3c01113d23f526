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

    An adapter sits on the base and is switched off first; of two models only one is in memory at a time. The base is
    held as it was in the training, and has the layers that were left out for it: what they were worth is part of the answer.
    """
    method = METHODS[recipe.lora.method]

    def load(model: Found) -> PreTrainedModel:
        return load_base(model, device.weights_dtype, device.kind, method.bits)

    def load_tuned() -> Model:
        return load(Found(tuned, None, code=found.code)) if method.whole else _with_adapter(load(found), tuned)

    if method.whole or found.left_out:
        return [_alone("base", lambda: load(found.original), look), _alone("tuned", load_tuned, look)]
    model = load_tuned().eval()
    with model.disable_adapter():
        of_base = look("base", model)
    return [of_base, look("tuned", model)]


def _alone(name: str, load: Callable[[], Model], look: Callable[[str, Model], T]) -> T:
    try:
        return look(name, load().eval())
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _with_adapter(base: PreTrainedModel, folder: Path) -> PeftModel:
    try:
        return PeftModel.from_pretrained(base, str(folder))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"The adapter in {folder} cannot be loaded: {str(error)[:300]}") from error
