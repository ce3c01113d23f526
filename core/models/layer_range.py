"""Whether the layers that a recipe names are layers of its model, as far as the model's shape is known. No torch."""

from core.models.known_shape import shape_of
from core.recipe import Recipe
from core.recipe_lora import LoraSection


def layer_problems(recipe: Recipe) -> dict[str, str]:
    """Key path -> a sentence, for a layer beyond the last; a model that nobody here knows is looked at when it is loaded."""
    shape = shape_of(recipe.model.source, recipe.model.revision)
    return beyond(recipe.lora, shape.layers) if shape else {}


def beyond(lora: LoraSection, count: int) -> dict[str, str]:
    """The same for a model of so many layers."""
    named = {"lora.first_layer": lora.first_layer, "lora.last_layer": lora.last_layer}
    return {
        key: f"{key}: this model has {count} layers, 0 to {count - 1}, so there is no layer {layer}."
        for key, layer in named.items()
        if layer is not None and layer >= count
    }
