"""The recipes of several runs beside each other: what each setting is called, what it is, and in which they differ."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from core.recipe import Recipe
from studio import words

Settings = dict[str, Any]
LONGEST_TEXT = 60


def differing(recipes: list[Settings]) -> list[str]:
    """The titles of the settings that are not the same in all of them."""
    return [title for title in titles(recipes) if any(recipe.get(title) != recipes[0].get(title) for recipe in recipes)]


def titles(recipes: list[Settings]) -> list[str]:
    """Those of all recipes, in their order: one may have more data sets than another."""
    return list(dict.fromkeys(title for recipe in recipes for title in recipe))


def settings(recipe: Recipe) -> Settings:
    """Title -> value of every setting but the name, as the form calls them."""
    name = Recipe.model_fields["name"].title
    return {title: value for title, value in _fields(recipe) if title != name}


def written(value: Any) -> str:
    """A value in full, however small the difference to another: 2e-4, 1.5, on, a=b."""
    if value is None or value == {}:
        return words.MISSING
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, dict):
        return ", ".join(f"{name}={inner}" for name, inner in value.items())
    text = str(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 0.01:
        return f"{value:.10g}"
    digits, exponent = f"{value:.9e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


def _fields(part: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            yield from _fields(value)
        elif name == "sources":
            for number, source in enumerate(value, start=1):
                yield from _fields(source, "Data" if number == 1 else f"Data {number}")
        else:
            yield _title(field.title or name, prefix), value


def _title(title: str, prefix: str) -> str:
    """Data 2, Data 2: row limit"""
    if not prefix or title == "Data":
        return prefix or title
    return f"{prefix}: {title.lower()}"
