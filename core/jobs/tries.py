"""One recipe as several runs that differ in a setting, or in each combination of a few: to find out what helps. No torch."""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from core.errors import RecipeError
from core.jobs import launcher
from core.jobs.folder import Job
from core.jobs.preflight import check_room
from core.recipe import LONGEST_NAME, Recipe
from core.recipe_yaml import values_in, with_values
from core.training.methods import METHODS

# More were rather asked for by mistake.
MOST = 16
# Of a run's name, so that what it tries can be read in it.
LONGEST_ENDING = 40

Settings = Mapping[str, Sequence[Any]]
# A recipe, and the values by which it differs.
Tried = tuple[Recipe, dict[str, Any]]


def asked(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Key path -> values, from texts such as `lora.rank=8,16,32`; raises RecipeError."""
    found: dict[str, list[Any]] = {}
    for text in texts:
        path, equals, values = text.partition("=")
        if not path or not equals or not values.strip():
            raise RecipeError(
                [f"{text!r} names nothing to try: write key.path=value,value, for example lora.rank=8,16,32."]
            )
        found.setdefault(path, []).extend(values_in(f"[{values}]"))
    return found


def recipes(recipe: Recipe, settings: Settings) -> list[Recipe]:
    """A recipe for each value of a setting, for several settings for each combination; raises RecipeError.

    Each is named by what it tries, and backed up, where the recipe asks for it, in a repository of its own.
    """
    values = [_once_each(values) for values in settings.values()]
    if (count := prod(map(len, values))) > MOST:
        raise RecipeError([f"These would be {count:,} runs, and {MOST} at once are the most. Try fewer values."])
    tried = [dict(zip(settings, one, strict=True)) for one in product(*values)]
    return _told_apart(recipe, _different([(with_values(recipe, one), one) for one in tried]))


def why_silent(path: str, recipe: Recipe) -> str | None:
    """Why all values of a setting would give the same run of this recipe; None where each gives its own."""
    if path == "training.epochs" and recipe.training.max_steps:
        return "training.max_steps decides how long it trains"
    if path == "training.beta" and not recipe.objective.pairs:
        return "only a training on pairs reads it"
    if path.startswith("lora.") and path != "lora.method" and METHODS[recipe.lora.method].whole:
        return "lora.method full trains the whole model, without an adapter"
    return None


def _refuse_the_silent(recipes: Sequence[Recipe], settings: Settings) -> None:
    several = [path for path, values in settings.items() if len(_once_each(values)) > 1]
    whys = {path: next(filter(None, (why_silent(path, one) for one in recipes)), None) for path in several}
    silent = [
        f"{path}: {why}, so its values would give the same run. Take it out." for path, why in whys.items() if why
    ]
    if silent:
        raise RecipeError(silent)


def start(recipe: Recipe, settings: Settings, token: str | None = None) -> list[Job]:
    """Start the first and queue the others behind it; none where one of them could not begin. Raises StudioError.

    `token` as for `launcher.start`.
    """
    wanted = recipes(recipe, settings)
    _refuse_the_silent(wanted, settings)
    for one in wanted:
        launcher.check_start(one)
    check_room(wanted)
    return [launcher.start(one, token=token) for one in wanted]


def _once_each(values: Sequence[Any]) -> list[Any]:
    return list({repr(value): value for value in values}.values())


def _different(found: list[Tried]) -> list[Tried]:
    """One value can be written in several ways, such as 1e-4 and 0.0001."""
    return [one for place, one in enumerate(found) if one[0] not in [other for other, _ in found[:place]]]


def _told_apart(recipe: Recipe, found: list[Tried]) -> list[Recipe]:
    """Each with a name and a backup of its own."""
    names = [_called(recipe.name, tried) for _, tried in found]
    if len(set(names)) < len(names):  # what differs was cut off
        names = [_called(recipe.name, tried, f" {place}") for place, (_, tried) in enumerate(found, 1)]
    named = zip(found, names, strict=True)
    return [_of_its_own(changed, name, place) for place, ((changed, _), name) in enumerate(named, 1)]


def _of_its_own(recipe: Recipe, name: str, place: int) -> Recipe:
    backup = recipe.checkpoints.hub_backup
    return with_values(recipe, {"name": name} | ({"checkpoints.hub_backup": f"{backup}-{place}"} if backup else {}))


def _called(name: str, settings: dict[str, Any], number: str = "") -> str:
    """my-run learning rate 2e-4"""
    said = " ".join(
        f"{path.rpartition('.')[2].replace('_', ' ')} {_written(value)}" for path, value in settings.items()
    )
    ending = re.sub(r"[^A-Za-z0-9 ._-]+", "-", said.replace("+", " plus"))
    ending = ending[: LONGEST_ENDING - len(number)].strip() + number
    return f"{name[: LONGEST_NAME - 1 - len(ending)].rstrip()} {ending}"


def _written(value: Any) -> str:
    """2e-4, 16, q_proj v_proj, none"""
    if isinstance(value, list):
        return " ".join(map(_written, value))
    if isinstance(value, float) and 0 < value < 0.01:
        return re.sub(r"\.?0*e-0*", "e-", f"{value:e}")
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
