"""Whether a recipe's model has the layers that it names or leaves out, as far as the model's shape is known. No torch."""

from core.files import read_json
from core.models.known_shape import config_file, shape_of, trained_shape
from core.models.left_out import hindrance, too_many
from core.recipe import Recipe
from core.recipe_lora import LoraSection
from core.recipe_sections import ModelSection


def layer_problems(recipe: Recipe) -> dict[str, str]:
    """Key path -> a sentence, for a layer beyond the last, and for more left out than can be.

    A model that nobody here knows is looked at when it is loaded.
    """
    problem = _left_out_problem(recipe.model)
    shape = trained_shape(recipe.model)
    return ({"model.drop_layers": problem} if problem else {}) | (beyond(recipe.lora, shape.layers) if shape else {})


def _left_out_problem(model: ModelSection) -> str | None:
    if not model.drop_layers:
        return None
    file, shape = config_file(model.source, model.revision), shape_of(model.source, model.revision)
    if config := read_json(file) if file else None:
        return hindrance(model.drop_layers, config)
    return too_many(model.drop_layers, shape.layers) if shape else None


def beyond(lora: LoraSection, count: int) -> dict[str, str]:
    """The same for a model of so many layers."""
    named = {"lora.first_layer": lora.first_layer, "lora.last_layer": lora.last_layer}
    return {
        key: f"{key}: this model has {count} layers, 0 to {count - 1}, so there is no layer {layer}."
        for key, layer in named.items()
        if layer is not None and layer >= count
    }
