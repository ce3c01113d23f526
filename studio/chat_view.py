"""The conversation: who answers, what was said, what could be asked, and the line to write on."""

import streamlit as st

from core import chats
from core.chats import Chat, Turn
from core.inference.client import Sampling
from core.inference.room import Room
from studio import session
from studio.chat_feedback import feedback_line
from studio.chat_memory import room_line
from studio.chat_message import ask_again, new_seed
from studio.chat_model import Panes, example_questions
from studio.chat_panes import centred, show_panes
from studio.chat_saved import name_in_address
from studio.chat_vote import no_pair_line, vote_bar
from studio.chat_writing import answering, redraw_when_over, write_answers
from studio.layout import row, split
from studio.sampling_form import system_prompt

EXAMPLES_KEY = "chat:example"


def chat_view(sampling: Sampling, panes: Panes, room: Room | None) -> None:
    chat = session.chat()
    with st.container() if panes.several else centred():
        room_line(room)
    stop = st.bottom.empty()
    # At the top level of the page: only then does Streamlit keep the newest message in view.
    placeholder = "Message the models" if panes.several else "Message the model"
    if typed := st.chat_input(placeholder, submit_mode="disable", key="chat:input"):
        ask(chat, typed, panes.blind)
    name_in_address(chat)
    if panes.replaced:
        _wait_for_consent(chat)
    if chat.turns and chat.turns[-1].state == "asked":
        # Not the line's own Stop: it goes at once for what is written while the page is still being drawn.
        stop.container(horizontal_alignment="center").button("Stop", icon=":material/stop_circle:", key="chat:stop")
        with answering(chat, panes.models):
            _answer(chat, panes, sampling)
        st.rerun()
    show_panes(chat, panes)
    with st.empty().container(), st.container() if panes.several else centred():
        _end_of(chat, panes)


def _wait_for_consent(chat: Chat) -> None:
    """What was asked of a model that is gone no other answers, until it is sent again."""
    if chat.turns and chat.turns[-1].state == "asked":
        chat.turns[-1].state, chat.turns[-1].going_on = "over", None


def _answer(chat: Chat, panes: Panes, sampling: Sampling) -> None:
    """Draw the conversation, then its last answers as they come."""
    places = show_panes(chat, panes, writing=True)
    # What the run before drew under the conversation would stay while an answer is written.
    st.empty()
    write_answers(chat, sampling, places)


def ask(chat: Chat, text: str, blind: bool) -> None:
    """One more question; a blank one is none. Where names are hidden, they stay in the same order until a vote has told them."""
    if not text.strip():
        return
    seed = None
    if blind:
        last = chat.turns[-1] if chat.turns else None
        seed = last.seed if last and last.hidden else new_seed()
    chat.turns.append(Turn(question=text, system=system_prompt(), seed=seed, state="asked"))
    chats.save(chat)


def _end_of(chat: Chat, panes: Panes) -> None:
    """What stands under the conversation: things to ask, or what can be done with the last answers."""
    if not chat.turns:
        _examples(panes)
        return
    last = chat.turns[-1]
    if last.state == "writing":
        st.caption(":shimmer[Stopping…]")
        redraw_when_over(last)
        return
    with split(gap="small"):
        if last.comparable:
            vote_bar(chat, last)
        else:
            _once_more(chat, last)
        with row(width="content", horizontal_alignment="right"):
            feedback_line()
            if last.comparable:
                _once_more(chat, last)
    no_pair_line(last)


def _once_more(chat: Chat, last: Turn) -> None:
    whole = bool(last.answers) and not any(reply.stopped for reply in last.answers)
    st.button(
        "Regenerate" if whole else "Send again",
        icon=":material/refresh:",
        type="tertiary" if whole else "secondary",
        key="chat:again",
        on_click=ask_again,
        args=(chat, last),
    )


def new_chat_button() -> None:
    st.button("New chat", icon=":material/edit_square:", key="chat:new", on_click=session.forget_chat)


def _examples(panes: Panes) -> None:
    st.space("medium")
    with st.container(horizontal_alignment="center", gap="xsmall"):
        st.markdown(":material/forum:", width="content")
        st.markdown("**Nothing said yet**", width="content")
        st.caption("Ask one of these, or write your own below.", width="content")
        st.pills(
            "Ask",
            example_questions(panes.models[0]),
            label_visibility="collapsed",
            wrap=True,
            key=EXAMPLES_KEY,
            on_change=_ask_example,
            args=(panes.blind,),
        )


def _ask_example(blind: bool) -> None:
    if text := session.widget_value(EXAMPLES_KEY):
        ask(session.chat(), text, blind)
