"""Whether the layers that a recipe names are layers of its model, as far as the model's shape is known. No torch."""

from core.models.known_shape import shape_of
from core.recipe import Recipe, value_at

KEYS = ("lora.first_layer", "lora.last_layer")


def layer_problems(recipe: Recipe) -> dict[str, str]:
    """Key path -> a sentence, for a layer beyond the last; a model that nobody here knows is looked at when it is loaded."""
    shape = shape_of(recipe.model.source, recipe.model.revision)
    if shape is None:
        return {}
    named = {key: layer for key in KEYS if (layer := value_at(recipe, key)) is not None}
    return {key: _beyond(key, layer, shape.layers) for key, layer in named.items() if layer >= shape.layers}


def _beyond(key: str, layer: int, count: int) -> str:
    return f"{key}: there is no layer {layer}, as this model has {count}; give one from 0 to {count - 1}."
