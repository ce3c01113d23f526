"""Which column is which: what was recognised and how sure that is, the first rows, and a choice for each part of a row."""

import streamlit as st

from core.data.formats import preference, tree
from core.data.formats.table import FORMATS
from core.data.peek import Peek, peek
from core.data.unpaired import no_pair_read
from core.recipe_data import Source
from studio import draft, session, words
from studio.markdown import plain
from studio.pairs_note import pairs_note

SURE = 0.95
MOST_COLUMNS = 12
NOTES = {
    tree.NAME: "Single messages that answer each other: of several answers the best ranked is learned, the others are not used.",
}
PARTS = {"question": "Question is in", "answer": "Answer is in"}
OF_PAIRS = {"prompt": "Prompt is in", "chosen": "Chosen answer is in", "rejected": "Rejected answer is in"}


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
    """Under a data set: what is to be known of it, or why its columns fit no layout and which are question and answer.

    Where pairs are learned from: which are the prompt and the two answers.
    """
    found = peek(source)
    pairs_note(index, source)
    if found and (note := NOTES.get(found.layout)):
        st.caption(f":material/info: {note}")
    pairs = session.draft().objective.pairs
    if found is None or not (_misfit(found) or (pairs and _names_none(source))):
        return
    st.caption(f":orange[:material/help:] {plain(_why(found, source, pairs))}")
    if len(found.columns) > 1:
        with st.container(horizontal=True, gap="small"):
            for part, label in (OF_PAIRS if pairs else PARTS).items():
                _column_of(index, source, part, found.columns, label)


def _misfit(found: Peek) -> bool:
    return found.layout is None and bool(found.problem)


def _names_none(source: Source) -> bool:
    """Whether no pairs can be read as its columns are named, by itself or by the person."""
    found = peek(source)
    may_be_named = source.layout in ("auto", preference.NAME) and (found.layout == preference.NAME or source.columns)
    return bool(may_be_named) and no_pair_read(source)


def _why(found: Peek, source: Source, pairs: bool) -> str:
    """In short where the rows can be read and only their columns say nothing; else the whole sentence."""
    if found.rows and source.layout in ("auto", preference.NAME) and not source.template:
        shown = ", ".join(found.columns[:MOST_COLUMNS]) + (", …" if len(found.columns) > MOST_COLUMNS else "")
        if pairs:
            return f"Its columns: {shown}. Say where the prompt, the chosen and the rejected answer are."
        if source.layout == "auto":
            return (
                f"Its columns ({shown}) fit no layout. Say where question and answer are, or write a template in "
                "Settings."
            )
    return (found.problem or found.bad_row or "").splitlines()[0]


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
    """Naming a question or an answer says what layout it is, where that was open; those of a pair go with no other's names."""
    named = session.draft().data.sources[index].columns
    columns = {name: column for name, column in named.items() if name != part and _beside(name, part)}
    if name := (session.widget_value(key) or "").strip():
        columns[part] = name
    draft.change({f"data.sources.{index}.columns": columns})


def _beside(name: str, part: str) -> bool:
    """Whether two parts can be named of one data set: some layout has both."""
    return any({name, part} <= {*layout.COLUMNS} for layout in FORMATS.values())
