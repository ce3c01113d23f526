"""What a training is to achieve: the choice, one press to another one, and to a learning rate that it bears."""

from typing import Any

import streamlit as st

from core.data.unpaired import problem_of
from core.recipe import Recipe
from core.training.methods import METHODS
from core.training.objectives import OBJECTIVES
from core.training.presets import default
from studio import draft, recipe_form, words
from studio.layout import row
from studio.markdown import plain
from studio.run_facts import data_name

OBJECTIVE, RATE = "training.objective", "training.learning_rate"


def objective_choice(recipe: Recipe) -> None:
    """With what it does as a caption, and which data it cannot be taught with."""
    recipe_form.select(OBJECTIVE, {name: objective.title for name, objective in OBJECTIVES.items()})
    st.caption(recipe.objective.hint)
    if unfit := [data_name(source.source) for source in recipe.data.sources if problem_of(recipe, source)]:
        said = f"No pairs of answers in {plain(', '.join(unfit))}: change the data under Model & data."
        st.caption(f":orange[:material/warning:] {said}")


def rate_note(recipe: Recipe) -> None:
    """Where the objective does not bear the learning rate, or has kept another's, a line that says so, and a press to its own."""
    now = recipe.training.learning_rate
    if not recipe.objective.bears(now, _whole(recipe)):
        said = f":orange[:material/warning:] {words.rate(now)} is too high for {short_name(recipe)}."
        _set_usual(recipe, said, "At higher rates the loss falls and the answers get worse.")
    elif not recipe.objective.pairs and not _whole(recipe) and now == OBJECTIVES["dpo"].rate:
        said = f":material/info: {words.rate(now)} is a rate of DPO, low for answers."
        _set_usual(recipe, said, "At lower rates little is learned in as many steps.")


def _set_usual(recipe: Recipe, said: str, help: str) -> None:
    usual = _usual_rate(recipe, recipe.training.objective)
    with row(gap="small"):
        st.caption(said, width="content")
        st.button(
            f"Set {words.rate(usual)}",
            icon=":material/build:",
            help=help,
            key="objective:rate",
            on_click=draft.change,
            args=({RATE: usual},),
        )


def learn_button(label: str, name: str, recipe: Recipe, key: str) -> None:
    """Another objective in one press; a rate that nobody has chosen becomes the usual one of that objective."""
    st.button(
        label,
        icon=":material/model_training:",
        help=OBJECTIVES[name].hint,
        key=key,
        on_click=draft.change,
        args=(to_objective(recipe, name),),
    )


def to_objective(recipe: Recipe, name: str) -> dict[str, Any]:
    """Key path -> value of all that another objective changes."""
    untouched = recipe.training.learning_rate == _usual_rate(recipe, recipe.training.objective)
    return {OBJECTIVE: name} | ({RATE: _usual_rate(recipe, name)} if untouched else {})


def _usual_rate(recipe: Recipe, name: str) -> float:
    return OBJECTIVES[name].usual_rate(_whole(recipe)) or default(RATE)


def _whole(recipe: Recipe) -> bool:
    return METHODS[recipe.lora.method].whole


def short_name(recipe: Recipe) -> str:
    """DPO"""
    return recipe.training.objective.upper()
