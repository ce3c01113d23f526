"""The docked bar: the plan in a line, and the button that starts the training or puts it into the queue."""

import streamlit as st

from core.hardware import Machine
from core.jobs import launcher
from core.jobs.listing import training_now
from core.plan.fixes import Fix, smallest_fix
from core.plan.forecast import Forecast, peak_bytes
from core.recipe import Recipe
from studio import draft, recipe_form, session, words
from studio.errors_shown import errors_shown
from studio.layout import row, split
from studio.markdown import plain
from studio.memory_card import fit_badge
from studio.navigation import open_run
from studio.plan_panel import roughly, time_words


def start_bar(recipe: Recipe, found: Forecast, machine: Machine) -> None:
    elsewhere = session.changed_elsewhere()
    with st.bottom, st.container(border=True):
        with split():
            st.markdown(_line(found, recipe.model.trust_remote_code), width="content")
            with row(width="content", horizontal_alignment="right"):
                start = _buttons(recipe, found, machine)
        if start:
            with errors_shown():
                draft.must_be_seen(elsewhere)
                _start(recipe)


def _buttons(recipe: Recipe, found: Forecast, machine: Machine) -> bool:
    """What stands in the way, if anything, and the button; whether it was pressed."""
    busy = training_now()
    if found.fit == "too big":
        _offer_fix(recipe, found, machine)
    elif busy:
        st.caption(f"{plain(busy.name)} is training", width="content")
    label, icon = ("Add to queue", "playlist_add") if busy else ("Start training", "play_arrow")
    return st.button(label, icon=f":material/{icon}:", type="primary", disabled=found.hopeless, key="start")


def _start(recipe: Recipe) -> None:
    """The same recipe twice is one run: a double click, or a second tab, opens the one that is under way."""
    open_run(launcher.start(recipe, token=session.hub_token()))


def _offer_fix(recipe: Recipe, found: Forecast, machine: Machine) -> None:
    """The smallest change that makes it fit, one press away."""
    fix = smallest_fix(recipe, found.room_bytes, machine.device, lambda other: peak_bytes(other, found, machine))
    if fix is None:
        st.caption("No setting makes it fit: choose a smaller model", width="content")
        return
    st.button(
        f"{fix_words(fix)} fits",
        icon=":material/build:",
        help=f"Needs {words.size(fix.needed_bytes)}. Sets {fix_words(fix)}.",
        key="fix",
        on_click=draft.change,
        args=(fix.changes,),
    )


def fix_words(fix: Fix) -> str:
    """Batch 2, Accumulate 8"""
    return ", ".join(f"{recipe_form.field(path).title} {value}" for path, value in fix.changes.items())


def _line(found: Forecast, runs_code: bool) -> str:
    plan = found.plan
    parts = [fit_badge(found)]
    if found.memory and found.fit != "too big":
        parts.append(words.used_of(found.memory.peak_bytes, found.room_bytes))
    if runs_code:
        parts.append(":orange-badge[:material/code: Runs the model's own code]")
    parts.append(time_words(found))
    steps = f"**{plan.steps:,}** {words.noun(plan.steps, 'step')}" if plan.steps else ""
    parts.append(f"{roughly(found)}{steps}" if steps else "steps not counted yet")
    return " :gray[|] ".join([*parts, f"**{words.size(plan.disk_bytes)}** disk"])
