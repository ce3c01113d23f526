"""Change the recipe being edited, one field at a time; a change that makes no valid recipe is told and not kept."""

from collections.abc import Callable
from threading import RLock
from typing import Any

from core.errors import JobError, RecipeError
from core.models.layer_range import layer_problems
from core.recipe import Recipe
from core.recipe_yaml import with_values
from studio import session

# Streamlit starts the next run in a thread of its own while the last one still ends: without turns one would undo the other.
_one_at_a_time = RLock()


def change(values: dict[str, Any]) -> bool:
    """Set fields by key path, such as `lora.rank` or `data.sources.0.split`; whether the recipe took them."""
    return change_to(lambda: values)


def change_to(values: Callable[[], dict[str, Any]]) -> bool:
    """Set fields to what is read when it is this change's turn, such as what their widgets hold by then."""
    with _one_at_a_time:
        try:
            session.save_draft(_possible(values()))
        except RecipeError as error:
            session.notify(str(error))
            return False
    return True


def _possible(values: dict[str, Any]) -> Recipe:
    """The draft with these values; raises RecipeError, also for a layer that the model has not, where it is set."""
    recipe = with_values(session.draft(), values)
    if problems := [problem for path, problem in layer_problems(recipe).items() if path in values]:
        raise RecipeError(problems)
    return recipe


def must_be_seen(changed_elsewhere: bool) -> None:
    """Raise JobError before a start where another tab has changed the draft since this one showed it."""
    if changed_elsewhere:
        raise JobError("These settings were changed in another tab. They are shown now: look, then start.")


def add_source(source: dict[str, Any]) -> bool:
    """One more data set at the end of the list."""
    return change_to(lambda: {"data.sources": [*_sources(), source]})


def remove_source(index: int) -> bool:
    return change_to(lambda: {"data.sources": _sources()[:index] + _sources()[index + 1 :]})


def _sources() -> list[dict[str, Any]]:
    return [source.model_dump(mode="json") for source in session.draft().data.sources]
