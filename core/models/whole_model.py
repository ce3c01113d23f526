"""A model with all its layers, held once before it is used without some: refused in words where there is no room. This imports torch."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel

from core import home
from core.errors import ModelError
from core.export.size import merged_bytes
from core.hardware import machine
from core.models.load import Found, load_base
from core.models.precision import DTYPES, precision_of
from core.models.too_small import is_too_small

INSTEAD = "Close other programs, choose a smaller model, or set it to 0."


@contextmanager
def whole_model(found: Found, device: str) -> Iterator[PreTrainedModel]:
    """The model in its own number format, while it is worked with; raises ModelError where the memory is too small."""
    if device == "cpu":
        _check_memory(found)
    try:
        yield load_base(found, DTYPES[precision_of(found)], device)
    except RuntimeError as error:
        if not is_too_small(error):
            raise
        raise ModelError(
            f"model.drop_layers: the whole model has to be held once, and it does not fit into the memory here. {INSTEAD}"
        ) from None


def _check_memory(found: Found) -> None:
    """Whoever takes more than there is is killed, without a word."""
    needed, free = merged_bytes(found.folder, precision_of(found)), machine(home.home()).ram_free_bytes
    if free < needed:
        raise ModelError(
            f"model.drop_layers: the whole model has to be held once, which takes {needed / 1e9:,.1f} GB of memory, and "
            f"{free / 1e9:,.1f} GB are free. {INSTEAD}"
        )
