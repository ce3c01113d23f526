"""The base model with a LoRA adapter on it, as the recipe asks."""

import json
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, set_seed

from core.errors import ModelError
from core.files import write_whole
from core.models import starter
from core.recipe import LoraSection, Recipe
from core.training.plan import TARGETS

# What each method adds to plain LoRA: rsLoRA (arXiv:2312.03732), DoRA (arXiv:2402.09353).
METHODS: dict[str, dict[str, Any]] = {"lora": {}, "rslora": {"use_rslora": True}, "dora": {"use_dora": True}}


def with_adapter(base: PreTrainedModel, recipe: Recipe) -> PeftModel:
    """A fresh adapter on a base model, its first weights drawn from the recipe's seed; raises ModelError."""
    set_seed(recipe.training.seed)
    try:
        return get_peft_model(base, lora_config(recipe.lora))
    except ValueError as error:
        raise ModelError(f"lora.targets: {recipe.lora.targets} does not fit this model: {error}") from error


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
