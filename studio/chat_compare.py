"""Compare: whether several models answer, how many, and whether their names are hidden until the vote."""

import streamlit as st

from core.chats import Chat
from studio import session
from studio.chat_model import MOST_PANES, Panes, add_pane, chosen_panes, number_of_panes, show_models

COMPARE, BLIND = "chat:compare", "chat:blind"


def compare_switches() -> None:
    """The toggles, and what belongs to them while they are on."""
    if st.toggle("Compare", key=COMPARE, persist_state="session"):
        st.toggle(
            "Blind",
            key=BLIND,
            persist_state="session",
            help="Shuffle the answers and hide who wrote them until you have voted",
        )
        if number_of_panes() < MOST_PANES and not _is_blind():
            st.button("Add model", icon=":material/add:", type="tertiary", key="chat:more", on_click=add_pane)


def panes_shown() -> Panes:
    """Who answers now: one model, or those that are compared."""
    panes = number_of_panes() if session.widget_value(COMPARE, False) else 1
    return chosen_panes(panes, _is_blind() and panes > 1)


def compare_as_in(chat: Chat) -> None:
    """Let those answer who gave the last answers of a chat, side by side and with hidden names if they were."""
    last = next((turn for turn in reversed(chat.turns) if turn.answers), None)
    if last:
        show_models([reply.model for reply in last.answers])
        session.show_in(COMPARE, len(last.answers) > 1)
        session.show_in(BLIND, last.seed is not None)


def _is_blind() -> bool:
    return bool(session.widget_value(BLIND, False))
