"""Read a file like a known data set that has the same columns: layout, columns and templates at once."""

import streamlit as st

from core.data.peek import peek
from core.known_readings import known_readings, reading_fields
from core.recipe_data import Source
from core.where import Place, place_of
from studio import draft, session


def read_like(index: int, source: Source) -> None:
    """Nothing where no known data set has these columns; shows the one that it is read like now."""
    seen = peek(source) if place_of(source.source) is Place.LOCAL else None
    known = known_readings(seen.columns) if seen else {}
    if not known:
        return
    key = f"read like:{index}"
    now = reading_fields(source)
    session.show_in(key, next((name for name, fields in known.items() if fields == now), None))
    st.selectbox(
        "Read it like",
        list(known),
        index=None,
        placeholder="a known data set with these columns",
        help="Takes over how that data set is read: layout, columns and templates. Empty: as the fields below say.",
        key=key,
        on_change=_take,
        args=(index, key, known),
    )


def _take(index: int, key: str, known: dict) -> None:
    fields = known.get(session.widget_value(key)) or reading_fields(Source())
    draft.change({f"data.sources.{index}.{name}": value for name, value in fields.items()})
