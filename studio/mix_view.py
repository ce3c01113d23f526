"""The mix while it is edited: each data set's weight and what becomes of it, the rule in words, and who repeats too often."""

import streamlit as st

from core.data import mixing
from core.data.expected import Share
from core.data.preview import prepared_for
from core.recipe import Recipe
from core.recipe_data import Source
from studio import draft, recipe_form, session, words
from studio.layout import row
from studio.markdown import plain

MIXING = {name: name.capitalize() for name in mixing.RULES}


def is_mixed(recipe: Recipe) -> bool:
    """Whether there is anything to weigh."""
    return sum(source.use == "train" for source in recipe.data.sources) > 1


def weight_input(index: int, source: Source) -> None:
    """The weight in percent; empty: as it comes."""
    key = f"weight:{index}"
    session.show_in(key, None if source.weight is None else round(source.weight * 100, 2))
    st.number_input(
        "Weight in percent",
        min_value=0.0,
        max_value=100.0,
        value=None,
        step=5.0,
        format="%g",
        icon=":material/percent:",
        placeholder="Weight",
        label_visibility="collapsed",
        width=150,
        help=recipe_form.field("data.sources.0.weight").description,
        key=key,
        on_change=_save,
        args=(index, key),
    )


def _save(index: int, key: str) -> None:
    percent = session.widget_value(key)
    if percent == 0:
        session.notify("A weight is more than 0. Remove leaves a data set out, an empty weight takes it as it comes.")
    else:
        draft.change({f"data.sources.{index}.weight": None if percent is None else percent / 100})


def total_rows(mix: list[Share]) -> int | None:
    """Rows of an epoch, where all are known."""
    rows = [share.rows for share in mix]
    return None if None in rows else sum(rows)


def share_words(source: Source, share: Share, whole: int | None) -> str:
    """30% of the mix · 120 rows · 34k tokens · each row 1.2 times"""
    if source.use == "held_out":
        return "held out as a whole"
    if share.available == 0:
        return "none of its rows is left to train on"
    if share.rows is None:
        counted = share.available is None
        return "its rows are counted when it is prepared" if counted else "its part is known once all are counted"
    parts = [
        f"{words.percent(share.rows / whole)} of the mix" if whole else "",
        words.count(share.rows, "row"),
        f"{words.parameters(share.tokens)} tokens" if share.tokens else "",
        _times(share.epochs),
    ]
    return " · ".join(part for part in parts if part)


def _times(epochs: float | None) -> str:
    if epochs is None or abs(epochs - 1) < 0.005:
        return ""
    return f"each row {epochs:.3g} times" if epochs > 1 else f"{words.percent(epochs)} of its rows"


def mix_summary(recipe: Recipe, mix: list[Share]) -> None:
    """The size of the mix and its rule; then a line for each data set that repeats often."""
    weights = [source.weight for source in recipe.data.sources if source.use == "train"]
    with row(gap="small"):
        st.caption(f"{_size(recipe, mix)}{mixing.rule(weights, recipe.data.mixing)}", width="stretch")
        if all(weights):
            with st.container(width=190):
                recipe_form.select("data.mixing", MIXING)
    for source, share in zip(recipe.data.sources, mix, strict=True):
        if share.epochs and share.epochs > mixing.MANY_EPOCHS:
            st.caption(f":orange[:material/repeat:] {plain(_too_often(source, share))}")


def _size(recipe: Recipe, mix: list[Share]) -> str:
    """Until it is prepared under the rules it has now, nobody knows what cleaning leaves."""
    rows = total_rows(mix)
    if rows is None:
        return ""
    if prepared_for(recipe):
        return f"**{words.whole(rows)}** rows make an epoch. "
    return f"About **{words.whole(rows)}** rows make an epoch: what cleaning leaves is counted when they are prepared. "


def _too_often(source: Source, share: Share) -> str:
    return (
        f"{source.source} has {words.count(share.available, 'row')}, so each is seen {share.epochs:.3g} times an epoch and is "
        "soon learned by heart. Lower its weight, or choose Never repeat."
    )
