"""One data set of the draft as a line: what it is, its settings, and the button that takes it out."""

from pathlib import PurePath

import streamlit as st

from core import catalog
from core.data.expected import Share
from core.data.formats import template
from core.data.formats.table import FORMATS
from core.data.peek import peek
from core.feedback import FeedbackSet, feedback_set, title_of
from core.recipe import Recipe
from core.recipe_data import Source
from core.where import Place, is_there, local_path, place_of
from studio import draft, recipe_form, words
from studio.column_mapping import mapping, quick_mapping, recognised
from studio.layout import row, split
from studio.markdown import plain
from studio.mix_view import is_mixed, share_words, total_rows, weight_input
from studio.read_like import read_like

BAD_ROWS = [0, 0.01, 0.05, 0.1, 0.25, 0.5, 1]
USES = {"train": "Training", "held_out": "Held out"}
SYSTEM_MODES = {"add": "Where there is none", "replace": "Everywhere"}
LAYOUTS = {"auto": "auto: by the columns"} | {name: layout.TITLE for name, layout in FORMATS.items()}


def data_source(index: int, recipe: Recipe, mix: list[Share]) -> None:
    """Name, facts and part of the mix on the left; weight, layout, settings and Remove on the right."""
    source = recipe.data.sources[index]
    with split(gap="small"):
        with st.container(gap=None, width="stretch"):
            with row(width="content"):
                name = plain(source_name(source.source, source.config))
                st.markdown(f"**{name}** :gray[{plain(_origin(source))}]", width="content")
                st.markdown(recognised(source), width="content")
            st.caption(plain(_facts(source)))
            if is_mixed(recipe) or source.use == "held_out":
                st.caption(plain(share_words(source, mix[index], total_rows(mix))))
        with row(width="content", horizontal_alignment="right"):
            if is_mixed(recipe) and source.use == "train":
                weight_input(index, source)
            _settings_popover(index, source)
            _remove(index, removable=len(recipe.data.sources) > 1)
    quick_mapping(index, source)


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


def source_name(source: str, config: str | None = None) -> str:
    """The catalog's name, with the task's where it has several; else the feedback's or the file's, else the Hub id."""
    if known := catalog.dataset(source):
        return known.name + (f" · {known.tasks[config].name}" if config in known.tasks else "")
    if place_of(source) is not Place.LOCAL:
        return source
    return title_of(local_path(source)) or PurePath(source).name


def _origin(source: Source) -> str:
    return source.source if catalog.dataset(source.source) else ""


def _facts(source: Source) -> str:
    """2,000 of 15,011 rows · split train · cc-by-sa-3.0"""
    known, limit = catalog.dataset(source.source), source.limit
    number = known.rows_of(source.config, source.split) if known else None
    rows = words.count(number, "row") if number else _counted(source)
    if limit:
        rows = f"{limit:,} of {rows}" if number and limit < number else f"at most {limit:,} rows"
    licence = f"licence {known.licence}" if known else None
    return " · ".join(part for part in (rows, _split(source), source.config, licence) if part)


def _split(source: Source) -> str | None:
    return None if place_of(source.source) is Place.LOCAL else f"split {source.split}"


def _counted(source: Source) -> str | None:
    """1,319 rows, 512 kB; of feedback: 14 rows: 12 liked, 2 corrected"""
    if place_of(source.source) is Place.LOCAL and (feedback := feedback_set(local_path(source.source))):
        return f"{words.count(feedback.rows, 'row')}: {kinds_of(feedback)}"
    total = found.total if (found := peek(source)) else None
    rows = words.count(total, "row") if total is not None else None
    return ", ".join(part for part in (rows, _file_size(source.source)) if part) or None


def kinds_of(feedback: FeedbackSet) -> str:
    """12 liked, 2 corrected"""
    return ", ".join(f"{number:,} {kind}" for kind, number in feedback.kinds.items())


def _file_size(source: str) -> str | None:
    if place_of(source) is not Place.LOCAL:
        return None
    path = local_path(source)
    if not is_there(path):
        return "the file is not there"
    return "a folder" if path.is_dir() else words.size(path.stat().st_size)


def _settings_popover(index: int, source: Source) -> None:
    """Its widgets are drawn while it is open: of those in a closed one the browser hears no change, and says what it last knew."""
    popover = st.popover("Settings", icon=":material/tune:", key=f"source settings:{index}", on_change="rerun")
    if popover.open:
        with popover, st.container(width=480, gap="small"):
            _settings(index, source)


def _settings(index: int, source: Source) -> None:
    """Everything about one data set, in three tabs."""
    columns, rows, system = st.tabs(["Columns", "Rows", "System prompt"])
    with columns:
        _reading(index, source)
    with rows:
        _rows(index, source)
    with system:
        recipe_form.long_text(f"data.sources.{index}.system", empty="none")
        recipe_form.choice(f"data.sources.{index}.system_mode", SYSTEM_MODES)


def _reading(index: int, source: Source) -> None:
    """Layout, columns, and the templates where they can be used."""
    path = f"data.sources.{index}"
    read_like(index, source)
    recipe_form.select(f"{path}.layout", LAYOUTS)
    if source.template or source.layout == template.NAME:
        recipe_form.long_text(f"{path}.template", empty=template.EXAMPLE)
    mapping(index, source)
    if source.answer_template or (source.layout in FORMATS and FORMATS[source.layout].ANSWER):
        recipe_form.long_text(f"{path}.answer_template", empty="the answer's column")


def _rows(index: int, source: Source) -> None:
    """Which rows are read, how many of them may be bad, and what they are for."""
    path = f"data.sources.{index}"
    recipe_form.choice(f"{path}.use", USES)
    if place_of(source.source) is not Place.LOCAL:
        recipe_form.text(f"{path}.split")
    if place_of(source.source) is Place.HUB:
        recipe_form.text(f"{path}.config", empty="the only one")
        recipe_form.text(f"{path}.revision", empty="the newest")
        recipe_form.text(f"{path}.file", empty="what the Hub says its data is")
    recipe_form.number(f"{path}.limit", step=100, empty="all rows")
    recipe_form.slider(f"{path}.bad_rows", BAD_ROWS, words.percent)
