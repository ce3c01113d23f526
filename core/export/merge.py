"""Merge an adapter into its base, in the base's full weights and never in quantised ones, and see that nothing was lost."""

import gc
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.errors import ModelError
from core.export.likeness import Likeness, ask
from core.files import read_json
from core.models.load import Found, load_base
from core.models.precision import DTYPES, precision_of
from core.models.progress import Progress

# Small enough that a transfer which breaks off loses little.
SHARD = "1GB"


@dataclass(frozen=True)
class Ingredients:
    """A base, the adapter on it (None where `base` is the whole trained model), and the tokenizer both are asked with."""

    base: Found
    adapter: Path | None
    tokenizer: PreTrainedTokenizerBase
    ends: frozenset[int]


def precision_to_write(base: Found, asked: str) -> str:
    """What is asked, or the one that a base came in. Raises ModelError for a quantised base."""
    config = read_json(base.folder / "config.json") or {}
    if "quantization_config" in config:
        raise ModelError(
            "The base model itself comes quantised, and an adapter merged into such weights would be rounded with them. "
            "Take the adapter alone."
        )
    return precision_of(base) if asked == "auto" else asked


def write_merged(things: Ingredients, precision: str, target: Path, tell: Progress) -> Likeness:
    """Write the whole model into a folder, load it from there, and compare what it says; raises ModelError.

    One model is in memory at a time.
    """
    tell("Loading the model", 0, 1)
    model = _loaded(things)
    expected = ask(model, things.tokenizer, things.ends)
    plain = expected
    if isinstance(model, PeftModel):
        with model.disable_adapter():
            plain = ask(model, things.tokenizer)
        model = _merged(model, DTYPES[precision], tell)
    _save(model, things, DTYPES[precision], target, tell)
    del model
    gc.collect()
    tell("Checking the merged model", 0, 1)
    found = ask(
        load_base(Found(target, None, code=things.base.code), DTYPES[precision], "cpu").eval(),
        things.tokenizer,
        things.ends,
    )
    return _alike(Likeness.between(plain, expected, found))


def _loaded(things: Ingredients) -> PreTrainedModel | PeftModel:
    base = load_base(things.base, DTYPES[precision_of(things.base)], "cpu").eval()
    if things.adapter is None:
        return base
    try:
        return PeftModel.from_pretrained(base, str(things.adapter)).eval()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"The adapter in {things.adapter} cannot be loaded: {str(error)[:300]}") from error


def _merged(model: PeftModel, dtype: torch.dtype, tell: Progress) -> PreTrainedModel:
    """Layer by layer in fp32, so that only the sum is rounded, once."""
    layers = [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
    for number, layer in enumerate(layers):
        tell("Merging", number, len(layers))
        layer.get_base_layer().float()
        _merge(layer)
        layer.get_base_layer().to(dtype)
    return model.merge_and_unload().to(dtype)


def _merge(layer: BaseTunerLayer) -> None:
    try:
        layer.merge(safe_merge=True)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise ModelError(f"This adapter cannot be merged: {_reason(error)} Take the adapter alone.") from error


def _reason(error: Exception) -> str:
    said = str(error).strip().split("\n")[0][:300]
    if "bias" in said:
        return "its lora.bias has no place in layers that have no bias of their own."
    return said if said.endswith(".") else f"{said}."


def _save(model: PreTrainedModel, things: Ingredients, dtype: torch.dtype, target: Path, tell: Progress) -> None:
    tell("Writing the merged model", 0, 1)
    model.to(dtype)
    if dtype == torch.float16 and not all(weights.isfinite().all() for weights in model.parameters()):
        raise ModelError("Some weights are too large for fp16. Choose bf16, which has the same size, or fp32.")
    own = model.generation_config.eos_token_id
    ends = things.ends | set(own if isinstance(own, list) else [own])
    model.generation_config.eos_token_id = sorted(ends - {None}) or None
    model.save_pretrained(target, max_shard_size=SHARD)
    things.tokenizer.save_pretrained(target)


def _alike(likeness: Likeness) -> Likeness:
    if likeness.close:
        return likeness
    raise ModelError(
        f"The merged model is not what was trained: its likelihoods are {likeness.apart:.3f} nats a token from those of the "
        f"adapter on its base, which has learned {likeness.learned:.3f}. Take the adapter alone."
    )
