"""A row of presets: one press sets the fields that a preset names, and says which it changed."""

import streamlit as st

from core.recipe import Recipe
from core.training.presets import PRESETS, Preset, changes, chosen
from studio import draft, recipe_form, session
from studio.layout import row


def preset_row(recipe: Recipe) -> None:
    now = chosen(recipe)
    with row(width="content"):
        for preset in PRESETS:
            st.button(
                preset.name,
                type="primary" if preset is now else "secondary",
                help=preset.reason,
                on_click=_take,
                args=(preset,),
                key=f"preset:{preset.name}",
            )


def preset_reason(recipe: Recipe) -> None:
    """Why the preset is as it is, where the recipe is one."""
    if now := chosen(recipe):
        st.caption(now.reason)


def _take(preset: Preset) -> None:
    """A preset that the rest of the recipe contradicts is refused as any other change is, with the reason."""
    different = changes(session.draft(), preset)
    if different and draft.change({path: value for path, (_, value) in different.items()}):
        session.notify(f"{preset.name}: {', '.join(_said(path, *pair) for path, pair in different.items())}.")


def _said(path: str, before: object, after: object) -> str:
    """Rank 16 → 64"""
    return f"{recipe_form.field(path).title} {_shown(before)} → {_shown(after)}"


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
