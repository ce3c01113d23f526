"""Which models can be written as GGUF: what llama.cpp calls their family, and how it wants their weights."""

from dataclasses import dataclass

from gguf import MODEL_ARCH

from core.errors import ModelError


@dataclass(frozen=True)
class Family:
    """`neighbours`: its positions turn numbers that are neighbours, where transformers turns those half a head apart.

    `less_one`: transformers adds one to the factors of its norms.
    """

    arch: MODEL_ARCH
    neighbours: bool = False
    less_one: bool = False


LLAMA = Family(MODEL_ARCH.LLAMA, neighbours=True)
# By transformers' `model_type`. Each was compared with llama.cpp itself: tests/test_gguf.py.
FAMILIES = {
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": Family(MODEL_ARCH.QWEN2),
    "qwen3": Family(MODEL_ARCH.QWEN3),
    "gemma3_text": Family(MODEL_ARCH.GEMMA3, less_one=True),
}


def family_of(model_type: str) -> Family:
    """Raises ModelError for one that is not in the table."""
    if found := FAMILIES.get(model_type):
        return found
    raise ModelError(
        f"A model of the kind {model_type} cannot be written as GGUF here, only {', '.join(FAMILIES)}. Export it merged, and "
        "convert that folder with llama.cpp's own convert_hf_to_gguf.py."
    )
