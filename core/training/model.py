"""The base model with a LoRA adapter on it, as the recipe asks."""

import json
from pathlib import Path
from typing import Any

from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    load_peft_weights,
    prepare_model_for_kbit_training,
    set_peft_model_state_dict,
)
from safetensors import SafetensorError
from transformers import BitsAndBytesConfig, PreTrainedModel, set_seed

from core.errors import ModelError
from core.files import write_whole
from core.models import starter
from core.recipe import Recipe
from core.recipe_sections import LoraSection
from core.training import start
from core.training.device import Device
from core.training.plan import TARGETS

# What each method adds to plain LoRA: rsLoRA (arXiv:2312.03732), DoRA (arXiv:2402.09353). QLoRA (arXiv:2305.14314) is
# plain LoRA on a base model of 4 bits.
METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "qlora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
}


def quantization(recipe: Recipe, device: Device) -> BitsAndBytesConfig | None:
    """NF4 with double quantisation for QLoRA; None for a base model in full."""
    if recipe.lora.method != "qlora":
        return None
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=device.weights_dtype,
    )


def with_adapter(base: PreTrainedModel, recipe: Recipe, recomputes: bool = False) -> PeftModel:
    """An adapter on a base model: fresh, its first weights drawn from the recipe's seed, or that of an earlier run.

    Raises ModelError.
    """
    set_seed(recipe.training.seed)
    if recipe.lora.method == "qlora":
        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=recomputes)
    try:
        model = get_peft_model(base, lora_config(recipe.lora))
    except ValueError as error:
        raise ModelError(f"lora.targets: {recipe.lora.targets} does not fit this model: {error}") from error
    if recipe.model.start_from:
        _load(model, start.folder_of(recipe.model.start_from))
    return model


def _load(model: PeftModel, folder: Path) -> None:
    """Put the weights of a saved adapter of the same shape in place of the fresh ones; raises ModelError."""
    try:
        set_peft_model_state_dict(model, load_peft_weights(str(folder), device="cpu"))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"model.start_from: the adapter in {folder} does not fit: {str(error)[:300]}") from error


def lora_config(lora: LoraSection) -> LoraConfig:
    """PEFT's configuration of a recipe's LoRA section."""
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear" if lora.targets == "all-linear" else list(TARGETS[lora.targets]),
        task_type="CAUSAL_LM",
        **METHODS[lora.method],
    )


def make_portable(folder: Path, recipe: Recipe) -> None:
    """Name the base model in a saved adapter as others know it; the folder it was loaded from means nothing elsewhere.

    Only afterwards, for while it saves, PEFT looks the base model up, and would wait for the Hub.
    """
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    write_whole(file, json.dumps(config | {"base_model_name_or_path": portable_name(recipe.model.source)}, indent=1))


def portable_name(source: str) -> str:
    """A model's name for others: the starter is known on the Hub."""
    return starter.HUB_ID if source == "starter" else source
