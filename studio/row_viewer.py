"""Leaf through the prepared rows and see each as the tokens that the model reads."""

import streamlit as st

from core.data.preview import Prepared, ShownRow, SourceView
from studio import charts
from studio.data_source import source_name
from studio.layout import row, section, split
from studio.token_view import token_markdown

SOURCE_KEY, EDGES_KEY = "viewer:source", "viewer:edges"
GAP = " \u2003"
HEIGHT = 300  # fixed, so that leafing does not move the page


@st.fragment
def row_viewer(prepared: Prepared) -> None:
    """Title with the token edges and the data set; the row; the legend with counts and the arrows."""
    sources = [source["source"] for source in prepared.report["sources"]]
    with split(gap="xsmall"):
        section("What the model learns from")
        with row(width="content", horizontal_alignment="right"):
            edges = st.toggle("Token edges", value=True, key=EDGES_KEY, persist_state="session")
            source = _source(sources)
    view = prepared.view(source)
    if not len(view):
        st.caption("No row is left to show.")
        return
    body, foot = st.container(height=HEIGHT, border=False), st.container()
    with foot:
        shown = _legend(view, source)
    body.markdown(token_markdown(shown.tokens, charts.palette().tokens, edges))


def _source(sources: list[str]) -> int:
    """The place of a data set in the report."""
    if len(sources) < 2:
        return 0
    return st.selectbox(
        "Data set",
        range(len(sources)),
        format_func=lambda number: source_name(sources[number]),
        label_visibility="collapsed",
        width=170,
        key=SOURCE_KEY,
    )


def _legend(view: SourceView, source: int) -> ShownRow:
    """Draw the legend of the row that the arrows chose, and return that row."""
    with split(gap="xsmall"):
        counts = st.container(width="content")
        with row(width="content", horizontal_alignment="right"):
            place = st.container(width="content")
            number = st.pagination(len(view), max_visible_pages=0, key=f"viewer:row:{source}:{len(view)}")
    shown = view.row(number - 1)
    counts.markdown(_counts(shown, view.report["max_length"]), width="content")
    place.caption(f"row {shown.row:,} · {number:,} of {len(view):,} · {shown.fate}", width="content")
    return shown


def _counts(shown: ShownRow, limit: int) -> str:
    shade = charts.palette().tokens[0]
    parts = [
        f':color[ trained on ]{{background="{shade}"}} **{shown.trained:,}**',
        f":gray[context only] **{len(shown.tokens) - shown.trained:,}**",
        f":gray[{len(shown.tokens):,} of {limit:,} tokens]",
        f":orange[{shown.cut:,} cut]" if shown.cut else "",
    ]
    return f":small[{GAP.join(part for part in parts if part)}]"
