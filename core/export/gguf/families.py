"""Which models can be written as GGUF: what llama.cpp calls their family, and how it wants their weights."""

from dataclasses import dataclass

from gguf import MODEL_ARCH
from transformers import PreTrainedConfig

from core.errors import ModelError


@dataclass(frozen=True)
class Family:
    """`neighbours`: its positions turn numbers that are neighbours, where transformers turns those half a head apart.

    `less_one`: transformers adds one to the factors of its norms. `activation`: the one that llama.cpp computes with there.
    `biases`: its attention may have them where the settings say so.
    """

    arch: MODEL_ARCH
    neighbours: bool = False
    less_one: bool = False
    activation: str = "silu"
    biases: bool = False


LLAMA = Family(MODEL_ARCH.LLAMA, neighbours=True, biases=True)
# By transformers' `model_type`. Each was compared with llama.cpp itself: tests/test_gguf.py.
FAMILIES = {
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": Family(MODEL_ARCH.QWEN2),
    "qwen3": Family(MODEL_ARCH.QWEN3),
    "gemma3_text": Family(MODEL_ARCH.GEMMA3, less_one=True, activation="gelu_pytorch_tanh"),
}


def check_family(config: PreTrainedConfig) -> None:
    """Raise ModelError for one that is not in the table, and for what llama.cpp does not compute in it."""
    family = family_of(config.model_type)
    activation = getattr(config, "hidden_activation", None) or config.hidden_act
    if activation != family.activation:
        raise ModelError(not_here(f"has the activation {activation}"))
    if getattr(config, "final_logit_softcapping", None) or getattr(config, "attn_logit_softcapping", None):
        raise ModelError(not_here("caps its scores"))
    if getattr(config, "attention_bias", False) and not family.biases:
        raise ModelError(not_here("has biases in its attention"))


def family_of(model_type: str) -> Family:
    """Raises ModelError for one that is not in the table."""
    if found := FAMILIES.get(model_type):
        return found
    raise ModelError(
        f"A model of the kind {model_type} cannot be written as GGUF here, only {', '.join(FAMILIES)}. Export it merged, and "
        "convert that folder with llama.cpp's own convert_hf_to_gguf.py."
    )


def not_here(what: str) -> str:
    """What a model does, as the reason why it is not written."""
    return (
        f"This model {what}, which is not written as GGUF here. Export it merged, and convert that folder with llama.cpp's own "
        "convert_hf_to_gguf.py."
    )
