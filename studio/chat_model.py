"""Choose who answers in a pane: a base model, a run's final adapter, or any checkpoint."""

from dataclasses import dataclass

import streamlit as st

from core.inference.choices import ChatModel, choices, named, target_of, told_apart
from core.jobs.listing import known_job
from studio import session
from studio.layout import row
from studio.markdown import plain

KEY = "chat:model"
MOST_PANES = 4
TUNED = ":blue-badge[:material/auto_awesome: Tuned]"
BASE = ":gray-badge[:material/smart_toy: Base]"
ON_HUB = ":gray-badge[:material/cloud: Hub]"
HIDDEN = ":gray-badge[:material/visibility_off: Hidden]"
USER, UNKNOWN = ":material/person:", ":material/help:"
AVATARS = {True: ":material/auto_awesome:", False: ":material/smart_toy:"}
SUPPORT_QUESTIONS = [
    "My tent pole broke. What can I do?",
    "Can I return boots I wore once?",
    "Why was my card refused?",
]
QUESTIONS = [
    "What is fine-tuning, in short?",
    "Write a polite payment reminder.",
    "Three ideas for a rainy day?",
]


def key_of(pane: int) -> str:
    return f"{KEY}:{pane}" if pane else KEY


@dataclass(frozen=True)
class Panes:
    """Who answers, pane by pane; everybody who could; and whether the names are hidden until the vote.

    `replaced` where one that was chosen is gone, so that another stands in its pane since this drawing of the page.
    """

    models: list[ChatModel]
    known: dict[str, ChatModel]
    blind: bool
    replaced: bool = False

    @property
    def several(self) -> bool:
        return len(self.models) > 1


def chosen_panes(panes: int, blind: bool) -> Panes:
    """Who answers in each pane: as chosen, else by default."""
    known = {model.id: model for model in choices()}
    for model in [model for pane in range(panes) for model in _written(pane)]:
        known.setdefault(model.id, model)
    # The list knows them by their labels: of two alike it gives the same one, whichever is pressed.
    known = told_apart(known)
    chosen: list[str] = []
    for pane in range(panes):
        chosen.append(next(name for name in _wanted(pane, known, chosen) if name in known))
    models = [known[name] for name in chosen]
    gone = [pane for pane in range(panes) if session.chosen_chat_model(pane) not in (None, chosen[pane])]
    for pane in gone:
        _replace(pane, models[pane], blind)
    return Panes(models, known, blind, bool(gone))


def model_choice(pane: int, panes: Panes) -> None:
    """The list, the badge, and the button that takes the pane away where two others are left."""
    model = panes.models[pane]
    session.show_in(key_of(pane), model.id)
    with row(gap="small"):
        st.selectbox(
            "Model" if not pane else f"Model {pane + 1}",
            list(panes.known),
            format_func=lambda model_id: panes.known[model_id].label if model_id in panes.known else model_id,
            label_visibility="collapsed",
            accept_new_options=True,
            key=key_of(pane),
            on_change=_choose,
            args=(pane,),
        )
        st.markdown(_badge(model), width="content")
        if len(panes.models) > 2:
            st.button(
                ":material/close:",
                type="tertiary",
                help="Take this model out",
                key=f"chat:less:{pane}",
                on_click=_take_out,
                args=(pane,),
            )


def _badge(model: ChatModel) -> str:
    if model.tuned:
        return TUNED
    return ON_HUB if model.unseen else BASE


def number_of_panes() -> int:
    """How many models are compared."""
    return session.recall("chat panes", 2)


def show_models(ids: list[str]) -> None:
    """Let these answer, a pane each. One alone leaves how many are compared."""
    for pane, model_id in enumerate(ids):
        session.choose_chat_model(model_id, pane)
    if len(ids) > 1:
        session.remember("chat panes", len(ids))


def add_pane() -> None:
    session.remember("chat panes", min(MOST_PANES, number_of_panes() + 1))


def _take_out(pane: int) -> None:
    """Those on its right move up."""
    panes = number_of_panes()
    for place in range(pane, panes - 1):
        session.choose_chat_model(session.widget_value(key_of(place + 1)), place)
    session.remember("chat panes", panes - 1)


def _choose(pane: int) -> None:
    """One of the list, or what was written into it: a Hub id or a folder."""
    wanted = session.widget_value(key_of(pane)).strip()
    if target_of(wanted):
        session.choose_chat_model(wanted, pane)
    else:
        session.notify(f"There is no model {wanted}. Choose one, or write a Hub id such as owner/name, or a folder.")


def _written(pane: int) -> list[ChatModel]:
    """What was written into a pane, as no list has it, and the base that it is compared with."""
    wanted = session.chosen_chat_model(pane)
    chosen = named(wanted) if wanted else None
    return [model for model in (chosen, chosen and named(chosen.base)) if model]


def _replace(pane: int, model: ChatModel, blind: bool) -> None:
    """Say, once, that another stands for what was chosen, such as a checkpoint that newer ones have pushed out."""
    gone = session.chosen_chat_model(pane)
    session.choose_chat_model(model.id, pane)
    said = "A chosen model" if blind else gone
    now = "Another one stands" if blind else f"{model.label} stands"
    st.toast(plain(f"{said} is not there any more. {now} in its place."), icon=":material/info:", duration="long")


def _wanted(pane: int, known: dict[str, ChatModel], taken: list[str]) -> list[str | None]:
    """Ids in the order in which a pane would have them; the last is always there."""
    finished = [model.id for model in known.values() if model.tuned and model.step is None]
    if not pane:
        opened, shown = session.selected_job(), session.widget_value(key_of(pane))  # a run that ends meanwhile waits
        return [session.chosen_chat_model(), shown, opened.id if opened else None, *finished, "starter"]
    bases = [known[name].base for name in taken]
    new = [name for name in [*bases, *finished, *known] if name not in taken]
    return [session.chosen_chat_model(pane), *new, "starter"]


def example_questions(model: ChatModel) -> list[str]:
    """Three things to ask; customers' questions where the model knows the starter data."""
    job = known_job(model.job_id)
    data = [] if job is None or job.damage else [source.source for source in job.recipe.data.sources]
    return SUPPORT_QUESTIONS if model.base == "starter" and (not model.tuned or "starter" in data) else QUESTIONS
