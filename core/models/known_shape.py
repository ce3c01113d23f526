"""Find a model's shape without fetching anything: in the catalog, a folder, or what the Hub's cache holds. No torch."""

from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from core import catalog
from core.files import read_json
from core.models.shape import Shape, shape_in
from core.recipe_sections import ModelSection
from core.where import Place, local_path, place_of


def shape_of(source: str, revision: str | None = None) -> Shape | None:
    """The shape of a recipe's model; None where nobody here knows it, or it is built in another way."""
    return catalog.model(source) or shape_in(read_json(file) if (file := config_file(source, revision)) else None)


def trained_shape(model: ModelSection) -> Shape | None:
    """The same without the layers that a recipe leaves out."""
    shape = shape_of(model.source, model.revision)
    return shape.without(model.drop_layers) if shape and model.drop_layers else shape


def config_file(source: str, revision: str | None = None) -> Path | None:
    """The config.json of a folder on this machine, or of a model of the Hub that was fetched before."""
    if place_of(source) is Place.LOCAL:
        return local_path(source) / "config.json"
    if place_of(source) is Place.HUB:
        cached = try_to_load_from_cache(source, "config.json", revision=revision)
        return Path(cached) if isinstance(cached, str) else None
    return None
