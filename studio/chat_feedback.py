"""Thumbs and corrections: kept with the message, and as data to train on."""

from dataclasses import replace

import streamlit as st

from core import chats, feedback
from core.chats import Chat, Reply, Turn
from core.feedback import Answer
from studio import session, words
from studio.layout import row
from studio.navigation import go_to


def thumbs(chat: Chat, turn: Turn, pane: int, reply: Reply) -> None:
    key = f"chat:thumbs:{reply.id}"
    session.show_in(key, None if reply.liked is None else int(reply.liked))
    st.feedback("thumbs", key=key, on_change=_judge, args=(chat, turn, pane, reply, key))


def _judge(chat: Chat, turn: Turn, pane: int, reply: Reply, key: str) -> None:
    thumb = session.widget_value(key)
    reply.liked = None if thumb is None else bool(thumb)
    keep_opinion(chat, turn, pane, reply)


def correction_form(chat: Chat, turn: Turn, pane: int, fact: str) -> None:
    """The answer to edit. What is saved takes its place, in the conversation and in the data."""
    reply = turn.answer_in(pane)
    key = f"chat:correction:{reply.id}"
    st.text_area("A better answer", reply.text, height=140, key=key)
    with row(width="content"):
        st.button(
            "Save the correction",
            type="primary",
            key="chat:correction save",
            on_click=_save,
            args=(chat, turn, pane, key, fact),
        )
        st.button("Cancel", key="chat:correction cancel", on_click=session.remember, args=(fact, None))
        if reply.correction:
            st.button(
                "Take it back",
                type="tertiary",
                key="chat:correction back",
                on_click=_take_back,
                args=(chat, turn, pane, fact),
            )


def _save(chat: Chat, turn: Turn, pane: int, key: str, fact: str) -> None:
    reply, text = turn.answer_in(pane), (session.widget_value(key) or "").strip()
    session.remember(fact, None)
    if text and text != reply.text.strip():
        _correct(chat, turn, pane, text if text != reply.content.strip() else None)


def _take_back(chat: Chat, turn: Turn, pane: int, fact: str) -> None:
    session.remember(fact, None)
    _correct(chat, turn, pane, None)


def _correct(chat: Chat, turn: Turn, pane: int, correction: str | None) -> None:
    """Keep a correction, also where the answer has won a vote before: the pair has its words, or must not have them any more."""
    reply = turn.answer_in(pane)
    reply.correction = correction
    keep_opinion(chat, turn, pane, reply)
    if turn.better == reply.id and turn in chat.turns:
        keep_vote(chat, turn)


def keep_opinion(chat: Chat, turn: Turn, pane: int, reply: Reply) -> None:
    if turn not in chat.turns:
        return  # it was asked anew meanwhile
    feedback.give(answer_of(chat, turn, pane), reply.liked, reply.correction)
    chats.save(chat)


def keep_vote(chat: Chat, turn: Turn) -> None:
    """Keep the better answer, in its correction where there is one, over what the other models said."""
    answers = [answer_of(chat, turn, pane) for pane in range(len(turn.answers))]
    best = next((reply for reply in turn.answers if reply.id == turn.better), None)
    better = replace(answers[turn.answers.index(best)], text=best.text) if best else None
    feedback.prefer(turn.id, better, [answer for answer in answers if answer.id != turn.better])


def answer_of(chat: Chat, turn: Turn, pane: int) -> Answer:
    """An answer as it was given, with what its model had read."""
    reply = turn.answer_in(pane)
    return Answer(reply.id, chat.prompt(turn, pane), reply.content, reply.model, reply.whole)


def feedback_line() -> None:
    """How much there is to train on, and the way there; nothing where there is nothing."""
    found = {kept.name: kept.rows for kept in feedback.feedback_sets()}
    kinds = {feedback.CONVERSATIONS: "answer", feedback.PAIRS: "pair"}
    parts = [words.count(found[name], kind) for name, kind in kinds.items() if name in found]
    if not parts:
        return
    st.caption(f":material/thumb_up: Feedback: {' · '.join(parts)}", width="content")
    if st.button("Train on it", type="tertiary", help="Add it under Model & data, as any data set", key="chat:use it"):
        go_to("model_and_data")
