"""Under a data set: what is done with its pairs of answers, or that it has none where they are needed, and a press to change it."""

import streamlit as st

from core.data.unpaired import bad_pair, has_pairs, known_layout, no_pair_read, unpaired
from core.recipe import Recipe
from core.recipe_data import Source
from studio import session
from studio.layout import row
from studio.markdown import plain
from studio.objective_choice import learn_button, short_name

ANSWERS = "Pairs of answers: the chosen ones are learned; the rejected ones are not used."
PAIRS = "Pairs of answers: {} learns from both which is the better one."
UNREAD = "{} learns from pairs, a chosen and a rejected answer in each row, and in the first rows none can be read."
UNPAIRED = "{} learns from pairs, a chosen and a rejected answer in each row, and this data has the layout {}. Choose other data, or learn answers."


def pairs_note(index: int, source: Source) -> None:
    """Nothing under data of which nothing is known, or without pairs where none are needed."""
    recipe, layout = session.draft(), known_layout(source)
    if unpaired(recipe, source.source, layout):
        _line(index, recipe, "sft", f":orange[:material/warning:] {UNPAIRED.format(short_name(recipe), layout)}")
    elif layout and recipe.objective.pairs and no_pair_read(source):
        _line(index, recipe, "sft", f":orange[:material/warning:] {UNREAD.format(short_name(recipe))}")
    elif layout and recipe.objective.pairs:
        _line(index, recipe, "sft", f":material/info: {PAIRS.format(short_name(recipe))}")
        if problem := bad_pair(source):
            st.caption(f":orange[:material/filter_alt:] Not every row has two answers. {plain(problem)}")
    elif layout and has_pairs(layout):
        _line(index, recipe, "dpo", f":material/info: {ANSWERS}")


LABELS = {"sft": "Learn answers (SFT)", "dpo": "Learn to prefer them (DPO)"}


def _line(index: int, recipe: Recipe, to: str, said: str) -> None:
    """The sentence and the press to another objective."""
    with row(gap="small"):
        st.caption(said, width="content")
        learn_button(LABELS[to], to, recipe, key=f"learn:{index}")
