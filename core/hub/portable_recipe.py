"""A run's recipe for others: every revision pinned, and no path of this machine in it."""

import re
from pathlib import Path
from typing import Any

from core.jobs.folder import Job
from core.recipe import Recipe
from core.recipe_yaml import to_yaml
from core.where import Place, place_of

COMMIT = re.compile(r"[0-9a-f]{40}")
HEAD = "# The recipe of {name}, with every revision it was trained on. `python -m core train recipe.yaml` trains it again.\n"
LOCAL = "# Files and folders stood on the machine of its author; here they have only their names.\n"


def portable(run: Job) -> str:
    """As YAML, with a comment that says what was changed in it."""
    recipe = run.recipe
    # Whoever trains it again shall not back up into its author's repository, nor read of it.
    changes = {"model": _model(recipe, run.resolved), "data": _data(recipe, run.resolved)}
    found = recipe.model_copy(update=changes).without_backup()
    local = LOCAL if _names_of(found) != _names_of(recipe) else ""
    return HEAD.format(name=recipe.name) + local + to_yaml(found)


def _names_of(recipe: Recipe) -> list[str | None]:
    return [recipe.model.source, recipe.model.start_from, *(source.source for source in recipe.data.sources)]


def _model(recipe: Recipe, resolved: dict[str, Any]) -> Any:
    model = recipe.model
    begin = Path(model.start_from).name if model.start_from else None
    return model.model_copy(
        update={
            "source": _name(model.source),
            "start_from": begin,
            "revision": (pinned(resolved) if _on_hub(model.source) else None) or model.revision,
        }
    )


def pinned(resolved: dict[str, Any]) -> str | None:
    """The commit of the base model, where it came from the Hub."""
    model = resolved.get("model")
    revision = str(model.get("revision")) if isinstance(model, dict) else ""
    return revision if COMMIT.fullmatch(revision) else None


def _data(recipe: Recipe, resolved: dict[str, Any]) -> Any:
    known, sources = resolved.get("data"), recipe.data.sources
    prints = [found.get("fingerprint") for found in known if isinstance(found, dict)] if isinstance(known, list) else []
    prints = prints if len(prints) == len(sources) else [None] * len(sources)
    found = [
        source.model_copy(
            update={"source": _name(source.source)}
            | ({"revision": commit} if _on_hub(source.source) and COMMIT.fullmatch(str(commit)) else {})
        )
        for source, commit in zip(sources, prints, strict=True)
    ]
    return recipe.data.model_copy(update={"sources": found})


def _on_hub(source: str) -> bool:
    return place_of(source) is Place.HUB


def _name(source: str) -> str:
    return f"./{Path(source).name}" if place_of(source) is Place.LOCAL else source
