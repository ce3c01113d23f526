"""Choose the model: cards of the catalog by size, and any Hub id or local folder that is typed."""

from collections import Counter

import streamlit as st

from core import catalog
from core.catalog import MemoryClass, Model
from core.hardware import Machine
from core.jobs.preflight import check
from core.plan.fits import fit
from core.recipe import parse
from core.where import Place, place_of
from studio import session
from studio.errors_shown import errors_shown
from studio.layout import row, section, split
from studio.markdown import plain
from studio.model_card import model_card, typed_model_card, use_model

GROUPS: dict[MemoryClass, tuple[str, str]] = {
    "starter": ("Starter", "under 0.5B · a first run in minutes, even on a CPU"),
    "small": ("Small", "0.5–2B · good answers, still quick"),
    "medium": ("Medium", "2–5B · for a GPU"),
    "large": ("Large", "over 5B"),
}
FIT_WORDS = {"fits": "fit", "qlora": "fit with QLoRA"}
FITS_HERE, NO_LICENCE, INSTRUCT = "Fits here", "No licence needed", "Instruct"
FILTER_KEY, SEARCH_KEY = "models:filter", "models:search"


def model_picker(machine: Machine) -> None:
    """Filters and search, then the groups of cards; large models sit in a closed expander."""
    typed, wanted = _header()
    chosen = session.draft().model.source
    found = [model for model in catalog.models() if _matches(model, typed, wanted, machine, chosen)]
    if typed:
        _offer(typed, any_found=bool(found))
    if not catalog.model(chosen):
        _group_title("Your model", "not in the catalog")
        with st.grid(2, min_column_width=400, gap="xsmall", border=True).cell():
            typed_model_card(chosen, machine, chosen)
    for name in GROUPS:
        _group(name, [model for model in found if model.memory_class == name], machine, chosen)


def _header() -> tuple[str, list[str]]:
    with split(gap="xsmall"):
        section("Model")
        with row(width="content", horizontal_alignment="right"):
            wanted = st.pills(
                "Show only",
                [FITS_HERE, NO_LICENCE, INSTRUCT],
                selection_mode="multi",
                default=[INSTRUCT],
                label_visibility="collapsed",
                key=FILTER_KEY,
                persist_state="session",
            )
            typed = st.text_input(
                "Search, or type a Hub id or a folder",
                placeholder="Search, Hub id or folder",
                icon=":material/search:",
                label_visibility="collapsed",
                width=230,
                key=SEARCH_KEY,
            )
    return (typed or "").strip(), wanted


def _matches(model: Model, typed: str, wanted: list[str], machine: Machine, chosen: str) -> bool:
    if typed:
        return any(typed.lower() in (text or "").lower() for text in (model.name, model.source, model.mirror))
    if chosen in (model.source, model.mirror):
        return True
    fits = FITS_HERE not in wanted or fit(model.source, machine) != "too big"
    free = NO_LICENCE not in wanted or not model.gated
    return fits and free and (INSTRUCT not in wanted or model.instruct)


def _offer(typed: str, any_found: bool) -> None:
    """Use what was typed, if it can be a model; else say why not."""
    if catalog.model(typed) or (any_found and place_of(typed) is Place.UNKNOWN):
        return
    with errors_shown():
        check(parse({"model": {"source": typed}}), "prepare")
        with row():
            st.button(f"Use {plain(typed)}", icon=":material/add:", on_click=_use, args=(typed,), key="model:typed")
            place = (
                "a folder on this machine" if place_of(typed) is Place.LOCAL else "fetched from the Hub at the start"
            )
            st.caption(place, width="content")


def _use(typed: str) -> None:
    if use_model(typed):
        session.show_in(SEARCH_KEY, "")


def _group(name: MemoryClass, models: list[Model], machine: Machine, chosen: str) -> None:
    if not models:
        return
    title, text = GROUPS[name]
    if name == "large":
        inside = Counter(fit(model.source, machine) for model in models)
        facts = ", ".join(f"{number} {FIT_WORDS.get(word, word)}" for word, number in inside.items())
        with st.expander(f"**{title}**\u2002:gray[:small[{text} · {facts} here]]"):
            _cards(models, machine, chosen)
        return
    _group_title(title, text)
    _cards(models, machine, chosen)


def _group_title(title: str, text: str) -> None:
    st.markdown(f"**{title}**\u2002:gray[:small[{text}]]")


def _cards(models: list[Model], machine: Machine, chosen: str) -> None:
    grid = st.grid(4, min_column_width=216, gap="xsmall", border=True)
    for model in models:
        with grid.cell():
            model_card(model, machine, chosen)
