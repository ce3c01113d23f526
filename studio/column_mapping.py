"""Which column is which: what was recognised and how sure that is, the first rows, and a choice for each part of a row."""

import streamlit as st

from core.data.formats import tree
from core.data.formats.table import FORMATS
from core.data.peek import Peek, peek
from core.recipe_data import Source
from studio import draft, session, words
from studio.markdown import plain
from studio.pairs_note import pairs_note

SURE = 0.95
MOST_COLUMNS = 12
NOTES = {
    tree.NAME: "Single messages that answer each other: of several answers the best ranked is learned, the others are not used.",
}


def recognised(source: Source) -> str:
    """A badge: question_answer, with a share where not all of the first rows fit."""
    found = peek(source)
    if found is None or source.layout != "auto":
        return f":blue-badge[{source.layout}]"
    if found.layout is None:
        return ":orange-badge[:material/help: not recognised]"
    if found.confidence >= SURE:
        return f":blue-badge[{found.layout}]"
    return f":orange-badge[{found.layout} · {words.percent(found.confidence)} fit]"


def quick_mapping(index: int, source: Source) -> None:
    """Under a data set: what is to be known of it, or why its columns fit no layout and which are question and answer."""
    found = peek(source)
    pairs_note(index, source)
    if found and (note := NOTES.get(found.layout)):
        st.caption(f":material/info: {note}")
    if found is None or found.layout is not None or not found.problem:
        return
    st.caption(f":orange[:material/help:] {plain(_why(found, source))}")
    if len(found.columns) > 1:
        with st.container(horizontal=True, gap="small"):
            _column_of(index, source, "question", found.columns, "Question is in")
            _column_of(index, source, "answer", found.columns, "Answer is in")


def _why(found: Peek, source: Source) -> str:
    """In short where the rows can be read and only their columns say nothing; else the whole sentence."""
    if found.rows and source.layout == "auto" and not source.template:
        shown = ", ".join(found.columns[:MOST_COLUMNS]) + (", …" if len(found.columns) > MOST_COLUMNS else "")
        return (
            f"Its columns ({shown}) fit no layout. Say where question and answer are, or write a template in Settings."
        )
    return found.problem.splitlines()[0]


def mapping(index: int, source: Source) -> None:
    """The choice of a column for each part that the layout has, and the first rows to choose by."""
    found = peek(source)
    layout = FORMATS.get(source.layout if source.layout != "auto" else (found.layout if found else "") or "")
    for part, help in layout.HELP.items() if layout else ():
        if found and found.columns:
            _column_of(index, source, part, found.columns, f"Column: {part}", help)
        else:
            _typed_column(index, source, part, help)
    if found and found.rows:
        _first_rows(found)


def _first_rows(found: Peek) -> None:
    st.caption(f"The first {words.count(len(found.rows), 'row')}")
    # Cells are drawn on a canvas: whatever markup they hold stays text.
    st.dataframe(found.rows, hide_index=True, height="content", row_height=30)
    if found.bad_row:
        st.caption(f":orange[:material/filter_alt:] {plain(found.bad_row)}")


def _column_of(index: int, source: Source, part: str, columns: list[str], label: str, help: str | None = None) -> None:
    """One of the columns that are there; empty: the column has the part's own name."""
    key = f"column:{index}:{part}:{label}"
    chosen = source.columns.get(part)
    known = columns if chosen is None or chosen in columns else [*columns, chosen]
    session.show_in(key, chosen)
    st.selectbox(
        label,
        known,
        index=None,
        placeholder=part if part in columns else "choose a column",
        help=help,
        width=220,
        key=key,
        on_change=_save,
        args=(index, part, key),
    )


def _typed_column(index: int, source: Source, part: str, help: str) -> None:
    """The name of a column nobody has seen yet, as on the Hub."""
    key = f"column:{index}:{part}"
    session.show_in(key, source.columns.get(part))
    st.text_input(
        f"Column: {part}", value=None, placeholder=part, help=help, key=key, on_change=_save, args=(index, part, key)
    )


def _save(index: int, part: str, key: str) -> None:
    """Naming a question or an answer says what layout it is, where that was open."""
    columns = dict(session.draft().data.sources[index].columns)
    columns.pop(part, None)
    if name := (session.widget_value(key) or "").strip():
        columns[part] = name
    draft.change({f"data.sources.{index}.columns": columns})
