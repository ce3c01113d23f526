"""Leaf through every prepared row and see each as the tokens that the model reads."""

import streamlit as st

from core.data.preview import Prepared, ShownRow
from studio import charts, row_choice, session, words
from studio.data_source import source_name
from studio.layout import row, section, split
from studio.row_choice import RowChoice
from studio.token_view import MOST_TOKENS, legend_html, token_html

SOURCE_KEY, EDGES_KEY = "viewer:source", "viewer:edges"
NOTHING = "\u00a0"  # keeps its line's height
HEIGHT, PAIR_HEIGHT = 300, 430  # fixed, so that leafing does not move the page
FATES = {"trained on": "blue", "held out": "orange", "left out by the mix": "gray"}


@st.fragment
def row_viewer(prepared: Prepared) -> None:
    """Title with the token edges; which rows; the row; its counts; what became of it and the arrows."""
    sources = [source_name(source["source"], source["config"]) for source in prepared.report["sources"]]
    with split(gap="xsmall"):
        section("What the model learns from")
        edges = st.toggle("Token edges", value=True, key=EDGES_KEY, persist_state="session")
    tools = st.columns(3 if len(sources) > 1 else 2, gap="xsmall")
    with tools[0]:
        source = _source(sources)
    choice = RowChoice(prepared, source, prepared.view(source))
    if not len(choice.view):
        st.caption("No row of this data set could be read.")
        return
    row_choice.narrow(choice, tools[-2:])
    row_choice.jumps(choice)
    _row(choice, edges)


def _source(sources: list[str]) -> int:
    """The place of a data set in the report."""
    if len(sources) < 2:
        return 0
    return st.selectbox(
        "Data set",
        range(len(sources)),
        format_func=lambda number: sources[number],
        label_visibility="collapsed",
        key=SOURCE_KEY,
    )


def _row(choice: RowChoice, edges: bool) -> None:
    limit = choice.prepared.report["max_length"]
    shown = None if choice.number is None else choice.view.row(choice.number)
    with st.container(height=PAIR_HEIGHT if choice.prepared.report.get("pairs") else HEIGHT, border=False):
        if shown:
            _tokens(shown, limit, edges, choice.key("whole"))
        else:
            st.caption("No row holds these words.")
    st.html(legend_html(shown, limit, charts.palette()))
    with split(gap="xsmall"):
        st.markdown(_fate(shown) if shown else NOTHING, width="content")
        with row(width="content", horizontal_alignment="right"):
            row_choice.leaf(choice)


def _tokens(shown: ShownRow, limit: int, edges: bool, key: str) -> None:
    """The first few thousand tokens; all of them where a person asks."""
    whole = session.recall(key) == shown.number
    st.html(token_html(shown, limit, charts.palette(), edges, None if whole else MOST_TOKENS))
    if len(shown.tokens) > MOST_TOKENS and not whole:
        more = words.count(len(shown.tokens) - MOST_TOKENS, "token")
        st.button(f"Show {more} more", key=key, on_click=session.remember, args=(key, shown.number))


def _fate(shown: ShownRow) -> str:
    """What became of the row, as a badge, and how often it is seen where that is not once."""
    seen = f" :gray[:small[seen {shown.seen} times per epoch]]" if shown.seen > 1 else ""
    return f":{FATES.get(shown.fate, 'gray')}-badge[{shown.fate}]{seen}"
