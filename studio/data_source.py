"""One data set of the draft as a line: what it is, its settings, and the button that takes it out."""

from pathlib import PurePath

import streamlit as st

from core import catalog
from core.catalog import Dataset
from core.data.expected import Share
from core.data.formats import template
from core.data.formats.table import FORMATS
from core.recipe import Recipe
from core.recipe_sections import Source
from core.where import Place, local_path, place_of
from studio import draft, recipe_form, session, words
from studio.layout import row, split
from studio.markdown import plain
from studio.mix_view import is_mixed, share_words, total_rows, weight_input

BAD_ROWS = [0, 0.01, 0.05, 0.1, 0.25, 0.5, 1]
USES = {"train": "Training", "held_out": "Held out"}
LAYOUTS = {"auto": "auto: by the columns"} | {name: layout.TITLE for name, layout in FORMATS.items()}


def data_source(index: int, recipe: Recipe, mix: list[Share]) -> None:
    """Name, facts and part of the mix on the left; weight, layout, settings and Remove on the right."""
    source = recipe.data.sources[index]
    with split(gap="small"):
        with st.container(gap=None, width="content"):
            st.markdown(f"**{plain(source_name(source.source))}** :gray[{plain(_origin(source))}]", width="content")
            st.caption(plain(_facts(source)), width="content")
            if is_mixed(recipe) or source.use == "held_out":
                st.caption(plain(share_words(source, mix[index], total_rows(mix))), width="content")
        with row(width="content", horizontal_alignment="right"):
            if is_mixed(recipe) and source.use == "train":
                weight_input(index, source)
            st.markdown(f":blue-badge[{_layout_word(source)}]", width="content")
            with st.popover("Settings", icon=":material/tune:", key=f"source settings:{index}"):
                _settings(index, source)
            _remove(index, removable=len(recipe.data.sources) > 1)


def _remove(index: int, removable: bool) -> None:
    st.button(
        "Remove",
        icon=":material/close:",
        type="tertiary",
        disabled=not removable,
        help=None if removable else "A recipe needs at least one data set.",
        key=f"remove source:{index}",
        on_click=draft.remove_source,
        args=(index,),
    )


def source_name(source: str) -> str:
    """The catalog's name, else the file's, else the Hub id."""
    if known := catalog.dataset(source):
        return known.name
    return PurePath(source).name if place_of(source) is Place.LOCAL else source


def from_catalog(known: Dataset) -> dict:
    """A data set of the catalog as a recipe's source."""
    return known.as_source()


def _origin(source: Source) -> str:
    return source.source if catalog.dataset(source.source) else ""


def _facts(source: Source) -> str:
    """2,000 of 15,011 rows · split train · cc-by-sa-3.0"""
    known, limit = catalog.dataset(source.source), source.limit
    rows = f"{known.rows:,} rows" if known else _file_size(source.source)
    if limit:
        rows = f"{limit:,} of {rows}" if known and limit < known.rows else f"at most {limit:,} rows"
    licence = f"licence {known.licence}" if known else None
    return " · ".join(part for part in (rows, _split(source), source.config, licence) if part)


def _split(source: Source) -> str | None:
    return None if place_of(source.source) is Place.LOCAL else f"split {source.split}"


def _file_size(source: str) -> str | None:
    if place_of(source) is not Place.LOCAL:
        return None
    path = local_path(source)
    return words.size(path.stat().st_size) if path.is_file() else "the file is not there"


def _layout_word(source: Source) -> str:
    known = catalog.dataset(source.source)
    return source.layout if source.layout != "auto" or known is None else known.layout


def _settings(index: int, source: Source) -> None:
    path = f"data.sources.{index}"
    recipe_form.choice(f"{path}.use", USES)
    if place_of(source.source) is not Place.LOCAL:
        recipe_form.text(f"{path}.split")
    if place_of(source.source) is Place.HUB:
        recipe_form.text(f"{path}.config", empty="the only one")
    recipe_form.number(f"{path}.limit", step=100, empty="all rows")
    recipe_form.slider(f"{path}.bad_rows", BAD_ROWS, words.percent)
    recipe_form.select(f"{path}.layout", LAYOUTS)
    if source.template or source.layout == template.NAME:
        recipe_form.long_text(f"{path}.template", empty=template.EXAMPLE)
    for part, help in FORMATS[source.layout].HELP.items() if source.layout in FORMATS else ():
        _column(index, source, part, help)


def _column(index: int, source: Source, part: str, help: str) -> None:
    """The name of the column that holds one part of the row; empty: it has the part's own name."""
    key = f"column:{index}:{part}"
    session.show_in(key, source.columns.get(part))
    st.text_input(
        f"Column: {part}",
        value=None,
        placeholder=part,
        help=help,
        key=key,
        on_change=_save_column,
        args=(index, part, key),
    )


def _save_column(index: int, part: str, key: str) -> None:
    columns = dict(session.draft().data.sources[index].columns)
    columns.pop(part, None)
    if name := (session.widget_value(key) or "").strip():
        columns[part] = name
    draft.change({f"data.sources.{index}.columns": columns})
