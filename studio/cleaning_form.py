"""Which rows are left out before training: the rules, folded under a line that tells what they are."""

import streamlit as st

from core.recipe_data import CleaningSection
from studio import recipe_form, session, words

TOO_LONG = {"cut": "Cut at Max tokens", "drop": "Leave out"}
SHORT_NAMES = {
    "exact_duplicates": "exact duplicates",
    "near_duplicates": "near duplicates",
    "leaks": "leaks",
    "broken_turns": "broken turns",
}


def cleaning_form() -> None:
    rules = session.draft().data.cleaning
    label = f"Cleaning :gray[:small[{cleaning_words(rules)}]]"
    with st.expander(label, icon=":material/cleaning_services:", key="cleaning"):
        grid = st.grid(4, min_column_width=216, gap="xsmall")
        for name in SHORT_NAMES:
            with grid.cell():
                recipe_form.switch(f"data.cleaning.{name}")
        one, two, _ = st.columns([1.4, 1, 0.6], gap="medium")
        with one:
            recipe_form.choice("data.cleaning.too_long", TOO_LONG)
        with two:
            recipe_form.number("data.cleaning.shortest_answer")


def cleaning_words(rules: CleaningSection) -> str:
    """Drops exact duplicates, leaks · cuts what is too long"""
    dropped = [short for name, short in SHORT_NAMES.items() if getattr(rules, name)]
    parts = [
        f"drops {', '.join(dropped)}" if dropped else "keeps duplicates and leaks",
        "cuts what is too long" if rules.too_long == "cut" else "drops what is too long",
        f"answers from {words.count(rules.shortest_answer, 'token')}" if rules.shortest_answer > 1 else "",
    ]
    return " · ".join(part for part in parts if part)
