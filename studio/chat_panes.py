"""The conversation as one column, or as a pane for each of the models that are compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from core.chats import Chat, Turn, name_of
from studio.chat_message import show_question, show_reply
from studio.chat_model import AVATARS, HIDDEN, UNKNOWN, Panes, model_choice
from studio.chat_writing import Place
from studio.layout import row

WIDTH = 760
HEIGHT, HEIGHT_OF_FOUR = 460, 340


def show_panes(chat: Chat, panes: Panes, writing: bool = False) -> list[Place]:
    """Draw who answers and what was said. Where the last question is being answered, the places for it, pane by pane."""
    places = {}
    for place, cell in enumerate(_cells(len(panes.models))):
        with cell:
            _header(place, panes)
            with _conversation(chat, len(panes.models)):
                places |= _show_turns(chat, place, _head(place, panes), writing)
    return [places[pane] for pane in sorted(places)]


def _show_turns(chat: Chat, place: int, head: str, writing: bool) -> dict[int, Place]:
    """One pane's conversation; its place for the answer that is being written, if any, under the number of its pane."""
    shown = ((turn, _show(chat, turn, place, head, writing and turn is chat.turns[-1])) for turn in chat.turns)
    return {turn.pane_at(place): found for turn, found in shown if found}


@contextmanager
def centred() -> Iterator[None]:
    with st.container(horizontal_alignment="center"), st.container(width=WIDTH):
        yield


def _cells(panes: int) -> list:
    """One column in the middle, or bordered cells beside each other."""
    if panes == 1:
        return [centred()]
    grid = st.grid(2 if panes == 4 else panes, min_column_width=300, gap="small")
    return [grid.cell().container(border=True, key=f"chat:pane:{pane}") for pane in range(panes)]


def _conversation(chat: Chat, panes: int) -> Any:
    """Below each header what was said: as long as it is, or scrolling by itself where models are compared.

    As long as nothing was said panes are low: the browser would scroll to the end of tall ones.
    """
    if panes == 1 or not chat.turns:
        return st.container()
    return st.container(height=HEIGHT if panes < 4 else HEIGHT_OF_FOUR, border=False)


def _header(place: int, panes: Panes) -> None:
    if panes.blind:
        _hidden_header(place)
    else:
        model_choice(place, panes)


def _head(place: int, panes: Panes) -> str:
    """Who answers in a pane, as its header says it."""
    return name_of(place) if panes.blind else panes.models[place].label


def _hidden_header(place: int) -> None:
    with row(gap="small"):
        st.markdown(f"**{name_of(place)}**", width="content")
        st.markdown(HIDDEN, width="content")


def _show(chat: Chat, turn: Turn, place: int, head: str, writing: bool) -> Place | None:
    """One turn as a pane has it."""
    show_question(chat, turn, editable=not place and turn.state == "over")
    pane, own = turn.pane_at(place), place < len(turn.answers)
    reply = turn.answer_in(pane)
    if writing and own and reply in turn.awaited:
        with st.chat_message("assistant", avatar=UNKNOWN if turn.hidden else AVATARS[reply.tuned]):
            return Place(st.empty(), st.empty())
    if reply:
        show_reply(chat, turn, pane, head, own)
    return None
