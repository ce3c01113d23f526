"""Layers that a model is used without (depth pruning, arXiv:2403.17887): which, and of which models they can be. No torch."""

import re
from dataclasses import dataclass
from typing import Any

from core.models.shape import shape_in

# A model of fewer layers is hardly one.
FEWEST = 2
IN_A_NAME = re.compile(r" without (\d+) of its layers$")


@dataclass(frozen=True)
class LeftOut:
    """`count` layers in a row, the first of them `first`, counted from 0 in a model `of` so many.

    None where that is not known yet: then it is measured which block of so many changes least.
    """

    count: int
    first: int | None = None
    of: int | None = None

    @property
    def numbers(self) -> range:
        """The layers of the whole model that are gone."""
        return range(self.first, self.first + self.count)

    @property
    def words(self) -> str:
        """6 of its 30 layers (20 to 25); of its layers, where it is not known which."""
        if self.first is None or self.of is None:
            return f"{self.count} of its layers"
        which = f"{self.first}" if self.count == 1 else f"{self.first} to {self.numbers[-1]}"
        return f"{self.count} of its {self.of} layers ({which})"


def name_without(base: str, count: int) -> str:
    """What an adapter calls its base: nothing that could be loaded, for on the whole model it would sit on the wrong layers."""
    return f"{base} without {LeftOut(count).words}" if count else base


def count_in(name: object) -> int:
    """How many layers the base is without, by the name that an adapter has for it."""
    found = IN_A_NAME.search(name) if isinstance(name, str) else None
    return int(found[1]) if found else 0


def too_many(count: int, layers: int) -> str | None:
    """A sentence where a model of so many layers would keep too few."""
    most = max(0, layers - FEWEST)
    if count <= most:
        return None
    return f"model.drop_layers: this model has {layers} layers, so at most {most} can be left out. Lower it to {most}."


def hindrance(count: int, config: dict[str, Any]) -> str | None:
    """Why so many layers cannot be left out of a model with this config.json, in a sentence; None where they can."""
    if "quantization_config" in config:
        return "model.drop_layers: this model comes quantised, so it cannot be written anew. Choose its original, or set it to 0."
    shape = shape_in(config)
    if shape is None or "text_config" in config:
        return (
            f"model.drop_layers: how layers are left out of a model of the kind {config.get('model_type')} is not known "
            "here. Set it to 0, or choose a Llama, Qwen, Mistral or another plain decoder."
        )
    return too_many(count, shape.layers)
