"""Which of several answers is the better one: the vote, what it teaches, and how often each model has won."""

import streamlit as st

from core import chats, votes
from core.chats import TIE, Chat, Turn, name_of
from studio import words
from studio.chat_feedback import keep_vote
from studio.layout import row
from studio.markdown import plain


def vote_bar(chat: Chat, turn: Turn) -> None:
    """Under the last answers: one button for each, and one for a tie. After a blind vote it says who was who."""
    if turn.seed is not None and turn.better:
        st.markdown(_revealed(turn), width="content")
        return
    with row(width="content"):
        st.markdown("Which answer is better?", width="content")
        for place in range(len(turn.answers)):
            reply = turn.answers[turn.pane_at(place)]
            label = name_of(place) if turn.seed is not None else plain(reply.label)
            _button(chat, turn, label, reply.id)
        _button(chat, turn, "Tie", TIE)


def no_pair_line(turn: Turn) -> None:
    """Why a vote is not kept as data, where it is not."""
    if any(reply.id == turn.better and not reply.whole for reply in turn.answers):
        st.caption("Not kept to train on: the better answer has no end.")


def _button(chat: Chat, turn: Turn, label: str, better: str) -> None:
    chosen = turn.better == better
    st.button(
        label,
        icon=":material/check:" if chosen else None,
        type="primary" if chosen else "secondary",
        key=f"chat:better:{turn.id}:{better}",
        on_click=_vote,
        args=(chat, turn, better),
    )


def _vote(chat: Chat, turn: Turn, better: str) -> None:
    """Keep it as data; a blind one on what models said counts as well, once. Chosen again, an open one is taken back."""
    if turn not in chat.turns:
        return  # it was asked anew meanwhile
    if turn.hidden:
        turn.better = better
        for other in chat.turns:
            other.revealed |= other.seed == turn.seed
        if not any(reply.correction for reply in turn.answers):
            votes.vote(turn, chat.prompt(turn))
    else:
        turn.better = None if turn.better == better else better
    keep_vote(chat, turn)
    chats.save(chat)


def _revealed(turn: Turn) -> str:
    """Answer A was **base**, Answer B was **tuned**: you chose **tuned**."""
    who = [
        f"{name_of(place)} was **{plain(turn.answers[turn.pane_at(place)].label)}**"
        for place in range(len(turn.answers))
    ]
    chosen = next((plain(reply.label) for reply in turn.answers if reply.id == turn.better), None)
    return f"{', '.join(who)}. " + (f"You chose **{chosen}**." if chosen else "You called it a tie.")


def tallies() -> None:
    """How the models did against each other in blind votes; nothing before the first."""
    found = votes.tallies()
    if not found:
        return
    total = sum(tally.wins + tally.ties + tally.losses for tally in found)
    with st.popover(f"Votes · {total:,}", icon=":material/how_to_vote:", key="chat:votes"):
        st.caption("Blind votes, pair by pair.")
        st.table(
            [
                {
                    "Model": plain(tally.model),
                    "Against": plain(tally.against),
                    "Wins": words.whole(tally.wins),
                    "Ties": words.whole(tally.ties),
                    "Losses": words.whole(tally.losses),
                }
                for tally in found
            ],
            border="horizontal",
            hide_index=True,
        )
