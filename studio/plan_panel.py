"""What the draft will take, in words: time, steps, tokens, trainable weights, checkpoints, disk."""

import streamlit as st

from core.hardware import Machine
from core.plan.forecast import Forecast, expected_step_s
from core.plan.plan import context_length
from core.recipe import Recipe
from studio import words
from studio.layout import kv, section, split
from studio.markdown import plain
from studio.memory_card import about, basis_words
from studio.probe_part import probe_part
from studio.run_facts import model_name


def plan_card(recipe: Recipe, found: Forecast, machine: Machine) -> None:
    plan = found.plan
    with split():
        section("Time and disk")
        st.markdown(f":gray[:small[{_source_of_rows(recipe, found)}]]", width="content")
    with st.container(gap="xxsmall"):
        kv("Time", time_words(found))
        kv("Steps", _steps(recipe, found))
        kv("Tokens", f"{roughly(found)}**{_millions(plan.tokens)}**" if plan.tokens else ":gray[counted when prepared]")
        share = f" · {words.percent(plan.trainable_share, 1)}" if plan.trainable_share else ""
        kv(
            "Trainable",
            f"**{words.parameters(plan.trainable)}**{share}" if plan.trainable else ":gray[known at the start]",
        )
        kv("Checkpoints", f"{_checkpoints(found)}keep {recipe.checkpoints.keep}")
        kv("Disk", f"**{words.size(plan.disk_bytes)}** of {words.size(machine.disk_free_bytes)} free")
    if found.time:
        st.caption(f"The time is {basis_words(found.time_basis)}.")
    probe_part(recipe, expected_step_s(found, machine))


def roughly(found: Forecast) -> str:
    """What stands before a number of rows or steps that is the catalog's, not counted."""
    return "" if found.counted else "about "


def time_words(found: Forecast) -> str:
    """about **13 min**, or what to do to know it."""
    if found.time is None:
        return ":gray[known after a probe]" if found.plan.steps else ":gray[prepare the data to know]"
    return f"{about(found.time_basis) or roughly(found)}**{words.duration(found.time.total_s)}**"


def _source_of_rows(recipe: Recipe, found: Forecast) -> str:
    if found.plan.rows is None:
        return "not counted yet"
    return f"{roughly(found)}{words.count(found.plan.rows, 'pair' if recipe.objective.pairs else 'row')} to train on"


def _steps(recipe: Recipe, found: Forecast) -> str:
    if not found.plan.steps:
        return ":gray[prepare the data to count]"
    epochs = recipe.training.epochs
    limit = "max steps" if recipe.training.max_steps else f"{epochs:g} epoch{'s' if epochs != 1 else ''}"
    counted = "" if recipe.training.max_steps else roughly(found)
    return f"{counted}**{found.plan.steps:,}** · {limit}"


def _checkpoints(found: Forecast) -> str:
    return f"{roughly(found)}**{found.plan.checkpoints:,}**, " if found.plan.checkpoints else ""


def _millions(tokens: int) -> str:
    return words.parameters(tokens) if tokens >= 1e5 else words.whole(tokens)


def length_note(recipe: Recipe) -> None:
    """The warning below Max tokens, on each page that has the field."""
    if warning := length_warning(recipe):
        st.caption(f":orange[:material/warning:] {warning}")


def length_warning(recipe: Recipe) -> str | None:
    """A sentence where examples may be longer than the model can read."""
    longest = context_length(recipe.model.source)
    if longest is None or recipe.data.max_length <= longest:
        return None
    return f"This model reads {longest:,} tokens at most; Max tokens is {recipe.data.max_length:,}."


def teaching(recipe: Recipe, found: Forecast) -> str:
    """The page's caption: How to teach it · Llama 3.2 1B Instruct · 18,000 examples from 3 data sets"""
    sources = words.count(len(recipe.data.sources), "data set")
    one = "pair" if recipe.objective.pairs else "example"
    rows = f"{roughly(found)}{words.count(found.plan.rows, one)} from {sources}" if found.plan.rows else sources
    return f"How to teach it · {plain(model_name(recipe))} · {rows}"
