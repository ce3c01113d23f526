"""Which modules of a base model get an adapter: the recipe's words and names, held against the model that is there."""

import re

from torch import nn
from transformers import PreTrainedModel

from core.errors import ModelError
from core.models.layer_range import beyond
from core.plan.trainable import TARGETS, is_or_ends
from core.recipe_lora import LoraSection


def modules(lora: LoraSection, base: PreTrainedModel) -> str | list[str]:
    """PEFT's `target_modules`; raises ModelError for a name that the model does not have."""
    linear = linear_modules(base)
    known = sorted({name.rpartition(".")[2] for name in linear})
    _check_patterns(lora, linear, known)
    if lora.targets == "all-linear":
        # With a range of layers PEFT wants names; the output layer, which the word leaves out, is no part of `linear`.
        return "all-linear" if layers(lora, base) is None else known
    names = list(TARGETS[lora.targets] if isinstance(lora.targets, str) else lora.targets)
    missing = [name for name in names if not any(is_or_ends(module, name) for module in linear)]
    if missing and (isinstance(lora.targets, list) or len(missing) == len(names)):
        raise ModelError(
            f"lora.targets: this model has no linear layer called {', '.join(missing)}. It has {', '.join(known)}."
        )
    return names


def layers(lora: LoraSection, base: PreTrainedModel) -> list[int] | None:
    """PEFT's `layers_to_transform`: from the first to the last, both included; None for all. Raises ModelError."""
    if lora.first_layer is None and lora.last_layer is None:
        return None
    count = base.config.get_text_config().num_hidden_layers
    if problems := beyond(lora, count):
        raise ModelError("\n".join(problems.values()))
    first, last = lora.first_layer or 0, count - 1 if lora.last_layer is None else lora.last_layer
    return list(range(first, last + 1))


def linear_modules(base: PreTrainedModel) -> list[str]:
    """Full names of all linear layers but the output layer, whose weights are often the embedding itself."""
    output = base.get_output_embeddings()
    return [name for name, module in base.named_modules() if isinstance(module, nn.Linear) and module is not output]


def _check_patterns(lora: LoraSection, linear: list[str], known: list[str]) -> None:
    """Raise ModelError for a rank or alpha of a module that is not there: PEFT would pass it over in silence."""
    for key, pattern in (("rank_pattern", lora.rank_pattern), ("alpha_pattern", lora.alpha_pattern)):
        for name in pattern:
            if not any(re.match(rf"(.*\.)?({name})$", module) for module in linear):
                raise ModelError(
                    f"lora.{key}: this model has no linear layer called {name}. It has {', '.join(known)}."
                )
