"""Change the recipe being edited, one field at a time; a change that makes no valid recipe is told and not kept."""

from typing import Any

from core.errors import RecipeError
from core.recipe import Recipe, parse
from studio import session


def change(values: dict[str, Any]) -> bool:
    """Set fields by key path, such as `lora.rank` or `data.sources.0.split`; whether the recipe took them."""
    try:
        session.save_draft(changed(session.draft(), values))
    except RecipeError as error:
        session.notify(str(error))
        return False
    return True


def changed(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """The recipe with fields set by key path; raises RecipeError."""
    plain = recipe.model_dump(mode="json")
    for path, value in values.items():
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
        inner: Any = plain
        for part in parents:
            inner = inner[part]
        inner[last] = value
    return parse(plain)


def add_source(source: dict[str, Any]) -> bool:
    """One more data set at the end of the list."""
    sources = [known.model_dump(mode="json") for known in session.draft().data.sources]
    return change({"data.sources": [*sources, source]})


def remove_source(index: int) -> bool:
    sources = [known.model_dump(mode="json") for known in session.draft().data.sources]
    return change({"data.sources": sources[:index] + sources[index + 1 :]})
