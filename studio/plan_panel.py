"""What the draft will take, in words: steps, tokens, trainable weights, checkpoints, disk; and the machine's answer."""

from dataclasses import dataclass

import streamlit as st

from core.data.expected import expected_mix
from core.data.preview import prepared_for
from core.hardware import Machine
from core.recipe import Recipe
from core.training.plan import Plan, context_length, fit, plan
from studio import words
from studio.layout import kv, section, split
from studio.markdown import plain
from studio.model_card import FIT_BADGES
from studio.run_facts import model_name


@dataclass(frozen=True)
class Outlook:
    """A plan, and whether its rows were counted or are the catalog's."""

    plan: Plan
    counted: bool

    @property
    def about(self) -> str:
        return "" if self.counted else "about "


def outlook(recipe: Recipe) -> Outlook:
    """From the prepared set where there is one, else from what is known of its data sets."""
    if prepared := prepared_for(recipe):
        report = prepared.report
        return Outlook(plan(recipe, report["rows"], report["tokens"]), counted=True)
    mix = expected_mix(recipe)
    rows, tokens = [share.rows for share in mix], [share.tokens for share in mix if share.rows]
    expected = plan(recipe, None if None in rows else sum(rows), None if None in tokens else sum(tokens))
    return Outlook(expected, counted=bool(recipe.training.max_steps))


def plan_card(recipe: Recipe, look: Outlook, machine: Machine) -> None:
    plan = look.plan
    with split():
        section("Plan")
        st.markdown(f":gray[:small[{_source_of_rows(look)}]]", width="content")
    kv("Steps", _steps(recipe, look))
    kv("Tokens", f"{look.about}**{_millions(plan.tokens)}**" if plan.tokens else ":gray[counted when prepared]")
    share = f" · {words.percent(plan.trainable_share, 1)}" if plan.trainable_share else ""
    kv("Trainable", f"**{words.parameters(plan.trainable)}**{share}" if plan.trainable else ":gray[known at the start]")
    kv("Checkpoints", f"{_checkpoints(look)}keep {recipe.checkpoints.keep}")
    kv("Disk", f"**{words.size(plan.disk_bytes)}** of {words.size(machine.disk_free_bytes)} free")


def _source_of_rows(look: Outlook) -> str:
    if look.plan.rows is None:
        return "not counted yet"
    return f"{look.about}{words.count(look.plan.rows, 'row')} to train on"


def _steps(recipe: Recipe, look: Outlook) -> str:
    if not look.plan.steps:
        return ":gray[prepare the data to count]"
    epochs = recipe.training.epochs
    limit = "max steps" if recipe.training.max_steps else f"{epochs:g} epoch{'s' if epochs != 1 else ''}"
    return f"{look.about}**{look.plan.steps:,}** · {limit}"


def _checkpoints(look: Outlook) -> str:
    return f"{look.about}**{look.plan.checkpoints:,}**, " if look.plan.checkpoints else ""


def _millions(tokens: int) -> str:
    return words.parameters(tokens) if tokens >= 1e5 else words.whole(tokens)


def machine_card(recipe: Recipe, machine: Machine) -> None:
    """Where it runs, in which number format and why, and whether the model fits."""
    with split():
        section("Machine")
        st.markdown(fit_badge(recipe, machine), width="content")
    kv("Device", f"**{plain(machine.device_name)}**")
    kv("Memory free", words.used_of(machine.memory_free_bytes, machine.memory_bytes))
    asked = recipe.training.precision
    if asked == "auto":
        kv("Precision", f"**{machine.precision.name}** · chosen for you")
        st.caption(f"{plain(machine.precision.reason)}.")
    else:
        kv("Precision", f"**{asked}** · chosen by you")
        if asked != machine.precision.name:
            st.caption(f"Automatic would take {machine.precision.name}. {plain(machine.precision.reason)}.")


def fit_badge(recipe: Recipe, machine: Machine) -> str:
    known = fit(recipe.model.source, machine)
    return FIT_BADGES[known] if known else ":gray-badge[:material/help: Size unknown]"


def length_warning(recipe: Recipe) -> str | None:
    """A sentence where examples may be longer than the model can read."""
    longest = context_length(recipe.model.source)
    if longest is None or recipe.data.max_length <= longest:
        return None
    return f"This model reads {longest:,} tokens at most; Max tokens is {recipe.data.max_length:,}."


def teaching(recipe: Recipe, look: Outlook) -> str:
    """The page's caption: How to teach it · Llama 3.2 1B Instruct · 18,000 examples from 3 data sets"""
    sources = words.count(len(recipe.data.sources), "data set")
    rows = f"{look.about}{words.count(look.plan.rows, 'example')} from {sources}" if look.plan.rows else sources
    return f"How to teach it · {plain(model_name(recipe))} · {rows}"
