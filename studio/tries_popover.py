"""Try several values of one setting: a run for each, one after the other, to be compared on Runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.errors import RecipeError
from core.hardware import Machine
from core.jobs import tries
from core.jobs.listing import training_now
from core.plan.forecast import Forecast, forecast
from core.recipe import Recipe, value_at
from core.training.methods import METHODS
from studio import compare_view, draft, session, words
from studio.errors_shown import errors_shown
from studio.layout import split
from studio.lora_form import DROPOUTS, RANKS, RATES
from studio.markdown import plain
from studio.memory_card import fit_badge
from studio.navigation import go_to
from studio.plan_panel import time_words
from studio.recipe_form import field, options

# Before each number that is offered, and invisible: Enter after a typed 12 means 12, and would else take 128, which begins so.
JOINER = "\u2060"


@dataclass(frozen=True)
class Choice:
    """Values that are worth a try, and how they are written; others can be typed where the setting has any number."""

    values: list[Any]
    write: Callable[[Any], str] = str
    others: bool = True

    def label(self, value: Any) -> str:
        """What was typed stands as it was typed."""
        if not self.others:
            return self.write(value)
        return value if isinstance(value, str) else JOINER + self.write(value)


SETTINGS: dict[str, Choice] = {
    "training.learning_rate": Choice(RATES, words.rate),
    "lora.method": Choice(list(METHODS), lambda name: METHODS[name].title, others=False),
    "lora.rank": Choice(RANKS),
    "lora.alpha": Choice([8, 16, 32, 64, 128]),
    "lora.dropout": Choice(DROPOUTS),
    "model.drop_layers": Choice([0, 2, 4, 6, 8]),
    "training.beta": Choice([0.05, 0.1, 0.2, 0.3, 0.5]),
    "training.epochs": Choice([1, 2, 3, 4, 5]),
    "training.batch": Choice([1, 2, 4, 8, 16, 32]),
    "training.accumulation": Choice([1, 2, 4, 8, 16]),
    "training.schedule": Choice(options(field("training.schedule")), others=False),
    "training.weight_decay": Choice([0.0, 0.01, 0.1]),
    "training.label_smoothing": Choice([0.0, 0.05, 0.1]),
    "data.max_length": Choice([256, 512, 1024, 2048, 4096]),
    "training.seed": Choice([1, 2, 3, 4, 5]),
}


def tries_popover(recipe: Recipe, machine: Machine) -> None:
    popover = st.popover("Try several", icon=":material/science:", key="tries", on_change="rerun")
    if popover.open:
        with popover, st.container(width=420):
            _form(recipe, machine)


def _form(recipe: Recipe, machine: Machine) -> None:
    st.caption(
        "One run for each value of a setting, one after the other. Runs shows them side by side, "
        f"{compare_view.MOST} at a time."
    )
    path = st.selectbox("Setting", _settings(recipe), format_func=_title, key="tries:setting", persist_state="session")
    values = _values(path, recipe)
    wanted = _recipes(recipe, {path: values})
    plans = [forecast(one, machine) for one in wanted] if len(wanted) > 1 else []
    for found in plans:
        _in_a_line(found)
    if _start_button(plans):
        with errors_shown():
            _start(recipe, {path: values})


def _title(path: str) -> str:
    return field(path).title or path


def _settings(recipe: Recipe) -> list[str]:
    """Those that can be tried: with pairs every label smoothing but 0 is refused."""
    refused = {"training.label_smoothing"} if recipe.objective.pairs else set()
    return [path for path in SETTINGS if path not in refused and not tries.why_silent(path, recipe)]


def _values(path: str, recipe: Recipe) -> list[Any]:
    """Those chosen; as long as these are not several, the one that the draft has."""
    choice, now, chosen = SETTINGS[path], value_at(recipe, path), f"tries {path}"
    shown = session.recall(chosen) or [now]
    known = [*choice.values, *(value for value in dict.fromkeys([now, *shown]) if value not in choice.values)]
    values = st.multiselect(
        "Values",
        known,
        default=shown,
        format_func=choice.label,
        accept_new_options=choice.others,
        filter_mode="prefix" if choice.others else "fuzzy",
        max_selections=tries.MOST,
        placeholder="Choose, or write another" if choice.others else "Choose",
        help=field(path).description,
        key=f"tries:values:{path}",
    )
    session.remember(chosen, values if len(values) > 1 else None)
    return values


def _recipes(recipe: Recipe, settings: tries.Settings) -> list[Recipe]:
    """What would be started; none where a value is refused, which is said."""
    try:
        return tries.recipes(recipe, settings)
    except RecipeError as error:
        st.caption(f":orange[:material/warning: {plain(str(error))}]")
        return []


def _in_a_line(found: Forecast) -> None:
    with split():
        st.markdown(plain(found.recipe.name), width="content")
        st.markdown(f"{fit_badge(found)} {time_words(found)}", width="content")


def _start_button(plans: list[Forecast]) -> bool:
    """As the one below the page, it starts nothing that is sure not to fit."""
    hindrance = "One of them does not fit: take it out." if any(plan.hopeless for plan in plans) else None
    verb, icon = ("Queue", "playlist_add") if training_now() else ("Start", "play_arrow")
    return st.button(
        f"{verb} {words.count(len(plans), 'run')}" if plans else verb,
        icon=f":material/{icon}:",
        type="primary",
        width="stretch",
        disabled=not plans or bool(hindrance),
        help=hindrance if plans else "Choose two values or more.",
        key="tries:start",
    )


def _start(recipe: Recipe, settings: tries.Settings) -> None:
    draft.must_be_seen(session.changed_elsewhere())
    session.select_jobs([job.id for job in tries.start(recipe, settings, session.hub_token())])
    go_to("runs")
