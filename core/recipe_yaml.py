"""Recipes as YAML files: read with every problem named, written without loss."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from core.errors import RecipeError
from core.plain_yaml import FAST, parsed
from core.recipe import Recipe, parse

MAX_RECIPE_BYTES = 1_000_000


def from_yaml(text: str) -> Recipe:
    """A recipe from YAML text; raises RecipeError."""
    return parse(values_in(text))


def to_yaml(recipe: Recipe) -> str:
    """The whole recipe as YAML, defaults included, in the order of the fields."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load(path: Path, changes: list[str] | None = None) -> Recipe:
    """A recipe from a file, with `key.path=value` changes on top; raises RecipeError."""
    try:
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise RecipeError([f"{path} is larger than 1 MB; this is not a recipe."])
        values = values_in(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError([f"The recipe {path} cannot be read: {_reason(error)}."]) from None
    for change in changes or []:
        values = changed(values, change)
    return parse(values)


def changed(values: Any, change: str) -> dict[str, Any]:
    """Plain values with one `key.path=value` applied; the value is read as YAML."""
    path, equals, value = change.partition("=")
    if not equals or not path:
        raise RecipeError(
            [f"{change!r} is not a change: write key.path=value, for example training.learning_rate=1e-4."]
        )
    return with_value(values, path, values_in(value))


def with_value(values: Any, path: str, value: Any) -> dict[str, Any]:
    """Plain values with the one at a key path replaced, such as `lora.rank` or `data.sources[0].limit`; raises RecipeError."""
    return _with(values, re.findall(r"[^.\[\]]+", path), value, path)


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with fields set by key path; raises RecipeError."""
    plain: Any = recipe.model_dump(mode="json")
    for path, value in values.items():
        plain = with_value(plain, path, value)
    return parse(plain)


def _with(values: Any, keys: list[str], value: Any, path: str) -> Any:
    """Plain values with one leaf replaced; `[0]` and `.0` both reach into a list."""
    if not keys:
        return value
    key, *rest = keys
    if isinstance(values, list) and key.isdecimal() and int(key) < len(values):
        return [_with(old, rest, value, path) if n == int(key) else old for n, old in enumerate(values)]
    if values is None or isinstance(values, dict):
        return {**(values or {}), key: _with((values or {}).get(key), rest, value, path)}
    raise RecipeError([f"{path}: there is nothing called {key!r} to change in this recipe."])


class _OnceOnly:
    """Refuses a key written twice, which PyYAML would silently overwrite."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise RecipeError(
                [f"{key}: stands twice at line {node.start_mark.line + 1} and after." for key in sorted(twice)]
            )
        return super().construct_mapping(node, deep)


class _Loader(_OnceOnly, yaml.SafeLoader):
    """Safe YAML, whatever the text."""


class _FastLoader(_OnceOnly, FAST):
    """The same in C."""


def values_in(text: str) -> Any:
    """Plain values from YAML text; raises RecipeError."""
    try:
        return parsed(text, _FastLoader, _Loader)
    except RecursionError:
        raise RecipeError(["This YAML is nested too deeply for a recipe."]) from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise RecipeError([f"This is not YAML: {line}{error.problem or error.context}."]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise RecipeError([f"This is not YAML: {' '.join(str(error).split())}."]) from None


def _reason(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return "there is no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error)).lower()
