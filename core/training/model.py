"""The model that is trained, as the recipe asks: the base with a LoRA adapter on it, or the base itself."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    load_peft_weights,
    prepare_model_for_kbit_training,
    set_peft_model_state_dict,
)
from safetensors import SafetensorError
from transformers import PreTrainedModel, set_seed

from core import home
from core.errors import ModelError
from core.files import write_whole
from core.hub.names import hub_id
from core.models.left_out import name_without
from core.recipe import Recipe
from core.recipe_lora import LoraSection
from core.training import eva, pissa, start, targets, template_tokens
from core.training.device import Device
from core.training.methods import METHODS


def base_dtype(recipe: Recipe, device: Device) -> torch.dtype:
    """The base model's format in memory; what is trained itself is always fp32, so that small steps are not rounded off."""
    return torch.float32 if METHODS[recipe.lora.method].whole else device.weights_dtype


def base_of(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The model under an adapter, or the model itself where it has none."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def trainable_parameters(model: torch.nn.Module) -> int:
    return sum(weights.numel() for weights in model.parameters() if weights.requires_grad)


def trained_model(
    base: PreTrainedModel,
    recipe: Recipe,
    recomputes: bool = False,
    saved: Path | None = None,
    rows: Dataset | None = None,
    marks: Sequence[int] = (),
) -> PreTrainedModel | PeftModel:
    """What the trainer gets: an adapter on the base (as `with_adapter`), or the base with every weight to be trained."""
    if not METHODS[recipe.lora.method].whole:
        return with_adapter(base, recipe, recomputes, saved, rows, marks)
    set_seed(recipe.training.seed)
    return base.requires_grad_(True)


def with_adapter(
    base: PreTrainedModel,
    recipe: Recipe,
    recomputes: bool = False,
    saved: Path | None = None,
    rows: Dataset | None = None,
    marks: Sequence[int] = (),
) -> PeftModel:
    """An adapter on a base model: fresh, its first weights drawn from the recipe's seed, or that of an earlier run.

    `saved` is the checkpoint's folder that the trainer will go on from; `rows` are those that EVA looks through.
    Raises ModelError.
    """
    set_seed(recipe.training.seed)
    method = METHODS[recipe.lora.method]
    if method.bits < 16:
        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=recomputes)
    config = lora_config(recipe.lora, base, marks)
    try:
        model = get_peft_model(base, config)
    except ValueError as error:
        raise ModelError(f"lora.targets: {recipe.lora.targets} does not fit this model: {error}") from error
    # Beside every checkpoint it would take longer to write than the weights of a small one; the result gets one of its own.
    model.create_or_update_model_card = lambda folder: None
    template_tokens.show_bias(base)
    # A checkpoint holds what was learned since; where it was brought to, the earlier run need not be.
    if recipe.model.start_from and not saved:
        _load(model, start.folder_of(recipe.model.start_from))
    if method.begins == "pissa":
        pissa.begin(model, saved)
    if method.begins == "eva" and not saved and rows is not None:
        eva.begin(model, rows)
    return model


def _load(model: PeftModel, folder: Path) -> None:
    """Put the weights of a saved adapter of the same shape in place of the fresh ones; raises ModelError."""
    try:
        weights = load_peft_weights(str(folder), device="cpu")
        _check_modules(model, set(weights), folder)
        set_peft_model_state_dict(model, weights)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"model.start_from: the adapter in {folder} does not fit: {str(error)[:300]}") from error


def _check_modules(model: PeftModel, saved: set[str], folder: Path) -> None:
    """Raise ModelError where the saved adapter sits on other modules: PEFT would load what fits and keep silent."""
    fresh = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    if different := sorted(fresh ^ saved):
        raise ModelError(
            f"model.start_from: the adapter in {folder} sits on other modules than lora.targets and the layers of this "
            f"recipe, {different[0]} for one of {len(different):,}."
        )


def lora_config(lora: LoraSection, base: PreTrainedModel, marks: Sequence[int] = ()) -> LoraConfig:
    """PEFT's configuration of a recipe's LoRA section; raises ModelError where the base model has no such modules.

    `marks` are the ids of the tokens that the chat template writes.
    """
    layers = targets.layers(lora, base)
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets.modules(lora, base),
        layers_to_transform=layers,
        rank_pattern=dict(lora.rank_pattern),
        alpha_pattern=dict(lora.alpha_pattern),
        lora_bias=lora.bias,
        trainable_token_indices=template_tokens.trained(lora, list(marks)),
        task_type="CAUSAL_LM",
        **METHODS[lora.method].config,
    )


def make_portable(folder: Path, recipe: Recipe, model: PreTrainedModel | PeftModel) -> None:
    """Make a saved adapter one that loads anywhere: on the untouched base, which is named as others know it.

    Only afterwards, for while it saves, PEFT looks the base model up, and would wait for the Hub. A whole model needs
    nothing.
    """
    if METHODS[recipe.lora.method].whole:
        return
    if METHODS[recipe.lora.method].begins == "pissa":
        pissa.as_lora(folder, model)
    file = home.adapter_config(folder)
    config = json.loads(file.read_text(encoding="utf-8"))
    base = name_without(hub_id(recipe.model.source) or recipe.model.source, recipe.model.drop_layers)
    write_whole(file, json.dumps(config | {"base_model_name_or_path": base}, indent=1))
