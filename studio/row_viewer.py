"""Leaf through the prepared rows and see each as the tokens that the model reads."""

import streamlit as st

from core.data.preview import Prepared, SampleRow
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
    rows = prepared.sample()
    sources = list(dict.fromkeys(row.source for row in rows))
    with split(gap="xsmall"):
        section("What the model learns from")
        with row(width="content", horizontal_alignment="right"):
            edges = st.toggle("Token edges", value=True, key=EDGES_KEY, persist_state="session")
            source = _source(sources)
    rows = [row for row in rows if row.source == source]
    if not rows:
        st.caption("No row is left to show.")
        return
    body, foot = st.container(height=HEIGHT, border=False), st.container()
    with foot:
        number = _legend(rows, prepared.report["max_length"], source)
    body.markdown(token_markdown(rows[number - 1].tokens, charts.palette().tokens, edges))


def _source(sources: list[str]) -> str | None:
    if len(sources) < 2:
        return next(iter(sources), None)
    return st.selectbox(
        "Data set", sources, format_func=source_name, label_visibility="collapsed", width=170, key=SOURCE_KEY
    )


def _legend(rows: list[SampleRow], limit: int, source: str) -> int:
    """Draw the legend of the row that the arrows chose, and return its place in the list, from 1."""
    with split(gap="xsmall"):
        counts = st.container(width="content")
        with row(width="content", horizontal_alignment="right"):
            place = st.container(width="content")
            number = st.pagination(len(rows), max_visible_pages=0, key=f"viewer:row:{source}:{len(rows)}")
    shown = rows[number - 1]
    counts.markdown(_counts(shown, limit), width="content")
    held_out = " · held out" if shown.held_out else ""
    place.caption(f"row {shown.row:,} · {number} of {len(rows)}{held_out}", width="content")
    return number


def _counts(shown: SampleRow, limit: int) -> str:
    shade = charts.palette().tokens[0]
    parts = [
        f':color[ trained on ]{{background="{shade}"}} **{shown.trained:,}**',
        f":gray[context only] **{len(shown.tokens) - shown.trained:,}**",
        f":gray[{len(shown.tokens):,} of {limit:,} tokens]",
        f":orange[{shown.cut:,} cut]" if shown.cut else "",
    ]
    return f":small[{GAP.join(part for part in parts if part)}]"
