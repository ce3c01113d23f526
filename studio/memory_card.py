"""Whether the draft fits the device's memory, part by part, and where the figure comes from."""

import streamlit as st

from core.hardware import IMITATED, Machine
from core.plan.correction import Basis
from core.plan.forecast import Forecast
from core.plan.memory_plan import MemoryPlan
from core.recipe import Recipe
from core.training.methods import METHODS
from studio import words
from studio.layout import section, split
from studio.local_time import when
from studio.markdown import plain
from studio.memory_bar import by_size, colours, memory_bar

UNKNOWN = ":gray-badge[:material/help: Size unknown]"


def memory_card(recipe: Recipe, found: Forecast, machine: Machine) -> None:
    with split():
        section("Memory")
        st.markdown(fit_badge(found), width="content")
    if found.memory is None:
        st.caption("The shape of this model is not known here. A probe fetches and measures it.")
    else:
        _peak(found)
        memory_bar(found.memory, found.room_bytes)
        _legend(recipe, found.memory)
    st.caption(_source(found) + _device(recipe, machine))
    if machine.imitates(recipe.training.precision):
        st.caption(f":orange[:material/warning:] {IMITATED}")


def fit_badge(found: Forecast) -> str:
    """Fits, with room to spare or hardly; else what it needs, or may need where no rows were counted."""
    if found.memory is None:
        return UNKNOWN
    needed = words.size(found.memory.peak_bytes)
    too_big = f":red-badge[:material/block: Needs {needed}]"
    return {
        "fits": ":green-badge[:material/check: Fits]",
        "tight": ":orange-badge[:material/warning: Tight]",
        "too big": too_big if found.hopeless else f":orange-badge[:material/warning: May need {needed}]",
    }[found.fit]


def about(basis: Basis) -> str:
    """What stands before a figure that was not measured."""
    return "" if basis.kind == "measured" else "about "


def basis_words(basis: Basis) -> str:
    """Where a figure comes from: measured by a probe, today 14:02"""
    if basis.measurement is None:
        return "computed"
    by = f"a {basis.measurement.source}, {when(basis.measurement.time)}"
    return f"measured by {by}" if basis.kind == "measured" else f"computed, corrected by {by}"


def _peak(found: Forecast) -> None:
    with split():
        st.markdown(
            f"{about(found.memory_basis)}**{words.size(found.memory.peak_bytes)}** at the peak", width="content"
        )
        st.markdown(f":gray[of {words.size(found.room_bytes)} free]", width="content")


def _legend(recipe: Recipe, memory: MemoryPlan) -> None:
    shades = colours()
    with st.container(gap="xxsmall"):
        for part, size in by_size(memory):
            mark = f':color[■]{{foreground="{shades[part]}"}}'
            with split():
                st.markdown(f"{mark} :gray[{_name(part, recipe)}]", width="content")
                st.markdown(words.size(size), width="content")


def _name(part: str, recipe: Recipe) -> str:
    bits = METHODS[recipe.lora.method].bits
    names = {
        "weights": "Weights" if bits == 16 else f"Weights, {bits} bits",
        "trained": "Adapter",
        "optimizer": "Optimizer",
        "overhead": "Libraries and overhead",
    }
    return names.get(part, part.capitalize())


def _source(found: Forecast) -> str:
    if found.memory is None:
        return ""
    text = basis_words(found.memory_basis)
    full = (
        ""
        if found.counted or found.memory_basis.kind == "measured"
        else ", for a full batch, as the data is not counted yet"
    )
    return f"{text[0].upper()}{text[1:]}{full}. "


def _device(recipe: Recipe, machine: Machine) -> str:
    asked = recipe.training.precision
    if asked == "auto":
        return f"{plain(machine.precision.reason)}."
    other = "" if asked == machine.precision.name else f" Automatic would take {machine.precision.name}."
    return f"{plain(machine.device_name)} in {asked}, as chosen by you.{other}"
