"""One model as a card: name, size, whether it fits here, whether it has a gate, and the button that chooses it."""

import streamlit as st

from core.catalog import Model
from core.hardware import Machine
from core.plan.fits import fit
from core.plan.plan import model_bytes
from core.where import Place, place_of
from studio import draft, session, words
from studio.gate import gate
from studio.layout import split
from studio.markdown import plain
from studio.own_code_form import own_code_form
from studio.template_choice import template_choice, template_for

FIT_BADGES = {
    "fits": ":green-badge[:material/check: Fits]",
    "tight": ":orange-badge[:material/warning: Tight]",
    "qlora": ":green-badge[:material/check: QLoRA]",
    "too big": ":gray-badge[:material/block: Too big]",
}
GATED = ":orange-badge[:material/lock: Gated]"
MIRROR = ":gray-badge[:material/lock_open: Mirror]"
SIZE_UNKNOWN = ":gray-badge[:material/help: Size unknown]"
GOOD_FIRST_RUN = ":violet-badge[Good first run]"


def model_card(model: Model, machine: Machine, chosen: str) -> None:
    """A model of the catalog; `chosen` is the draft's source, this model's or another."""
    _title(model.name, [model.organisation, words.parameters(model.parameters), words.size(model.weights_bytes())])
    verdict = fit(model.source, machine)
    badges = [FIT_BADGES[verdict]]
    if model.gated:
        badges.append(MIRROR if chosen == model.mirror else GATED)
    elif model.source == "starter":
        badges.append(GOOD_FIRST_RUN)
    with split(gap="xxsmall"):
        st.markdown(" ".join(badges), width="content")
        if model.mirror:
            _choose_with_mirror(model, chosen, verdict == "too big")
        else:
            _choose(model.source, chosen, verdict == "too big")
    if model.gated and chosen == model.source:
        gate(chosen)
    if chosen in (model.source, model.mirror):
        template_choice(chosen)


def typed_model_card(source: str, machine: Machine, chosen: str) -> None:
    """A model that the catalog does not know: a Hub id or a folder."""
    size = model_bytes(source)
    _title(source, [words.size(size)] if size else ["size not known before it is fetched"])
    known = fit(source, machine)
    with split(gap="xxsmall"):
        st.markdown(FIT_BADGES[known] if known else SIZE_UNKNOWN, width="content")
        _choose(source, chosen)
    template_choice(source)
    if place_of(source) is Place.HUB:
        own_code_form(source)


def use_model(source: str) -> bool:
    """Choose a model; what was said of the one before, its revision and its code, does not hold for it."""
    template = template_for(source, session.draft().model.chat_template)
    return draft.change(
        {
            "model.source": source,
            "model.revision": None,
            "model.trust_remote_code": False,
            "model.chat_template": template,
        }
    )


def _title(name: str, facts: list[str]) -> None:
    with st.container(gap=None):
        st.markdown(f"**{plain(name)}**", wrap=False)
        st.caption(plain(" · ".join(facts)), wrap=False)


def _choose(source: str, chosen: str, too_big: bool = False) -> None:
    selected = source == chosen
    st.button(
        "Selected" if selected else "Select",
        type="primary" if selected else "secondary",
        disabled=too_big and not selected,
        key=f"model:{source}",
        on_click=use_model,
        args=(source,),
    )


def _choose_with_mirror(model: Model, chosen: str, too_big: bool) -> None:
    """A gated model: the original, whose licence is accepted on the Hub, or the same weights without a gate."""
    names = {"original": f"Use the original, {model.source}", "mirror": f"Use mirror, {model.mirror}: no gate"}
    selected = chosen in (model.source, model.mirror)
    key = f"model:{model.source}"
    st.menu_button(
        "Selected" if selected else "Select",
        list(names),
        format_func=names.__getitem__,
        type="primary" if selected else "secondary",
        disabled=too_big and not selected,
        help=f"{plain(model.source)} asks you to accept its licence and to sign in. Its mirror does not.",
        key=key,
        on_click=_use_one_of,
        args=(model, key),
    )


def _use_one_of(model: Model, key: str) -> None:
    use_model(model.mirror if session.widget_value(key) == "mirror" else model.source)
