"""How a question and an answer are shown, and what can be done with them: edit, thumbs, correct, see the prompt."""

import time

import streamlit as st

from core import chats
from core.chats import Chat, Reply, Turn
from studio import session
from studio.chat_feedback import correction_form, thumbs
from studio.chat_model import AVATARS, UNKNOWN, USER
from studio.chat_prompt import show_prompt
from studio.chat_text import safe_markdown
from studio.layout import row, split
from studio.markdown import plain, plain_lines
from studio.sampling_form import system_prompt

EDITING, CORRECTING = "chat:editing", "chat:correcting"
CORRECT, PROMPT = "Correct this answer", "Prompt as the model sees it"


def show_question(chat: Chat, turn: Turn, editable: bool) -> None:
    """What was asked; where it can be edited, in its place the text to edit."""
    with st.chat_message("user", avatar=USER):
        if editable and session.recall(EDITING) == turn.id:
            _question_form(chat, turn)
            return
        with split(gap="xsmall"):
            st.markdown(safe_markdown(turn.question), anchors=False, width="stretch")
            if editable:
                st.button(
                    ":material/edit:",
                    type="tertiary",
                    help="Edit and ask again; what came after it goes",
                    key=f"chat:edit:{turn.id}",
                    on_click=session.remember,
                    args=(EDITING, turn.id),
                )


def show_reply(chat: Chat, turn: Turn, pane: int, head: str, own: bool) -> None:
    """One answer, whole, with its numbers and its error; `head` is whom the header above it names.

    What can be done with it stands in its `own` place alone: one from before there were several panes is shown in each.
    """
    reply = turn.answer_in(pane)
    with st.chat_message("assistant", avatar=UNKNOWN if turn.hidden else AVATARS[reply.tuned]):
        if reply.text:
            st.markdown(safe_markdown(reply.text), anchors=False)
            with split(gap="xsmall"):
                st.caption(_caption(turn, reply, head, last=turn is chat.turns[-1]), width="content")
                if own:
                    _actions(chat, turn, pane, reply)
            if own and reply.liked and not reply.whole:
                or_continue = "Continue it, or *" if _may_go_on(chat, turn, reply) else "*"
                st.caption(f"Not kept to train on: it has no end. {or_continue}Correct this answer*.")
        elif not reply.error:
            st.caption("Stopped before the first word.")
        if reply.error:
            st.error(plain_lines(reply.error), icon=":material/error:")
        if own and session.recall(CORRECTING) == reply.id:
            correction_form(chat, turn, pane, CORRECTING)


def _caption(turn: Turn, reply: Reply, head: str, last: bool) -> str:
    """31 tokens · 28 tok/s · 0.4 s to first · context 73 of 8,192; and whatever is out of the ordinary."""
    # Another model's words in a pane would be taken for its own.
    who, by = (turn.name_until_vote(reply), "") if turn.hidden else (reply.label, "by ")
    parts = [f":gray-badge[{by}{plain(who)}]"] if who != head else []
    if reply.tokens:
        parts.append(f"{reply.tokens:,} tokens")
        parts += [f"{reply.tokens_per_s:.0f} tok/s"] if reply.tokens_per_s else []
        parts += [f"{reply.seconds_to_first:.1f} s to first"] if reply.seconds_to_first is not None else []
    if last and reply.context and reply.tokens and reply.prompt_tokens:
        parts.append(f"context {reply.prompt_tokens + reply.tokens:,} of {reply.context:,}")
    if reply.stopped and not reply.error and turn.state == "over":
        parts.append("stopped")
    elif reply.finish_reason == "length":
        parts.append("cut at max tokens")
    if reply.bits < 16:
        parts.append(f"in {reply.bits} bits")
    if reply.correction:
        parts.append("corrected")
    return " · ".join(parts)


def _actions(chat: Chat, turn: Turn, pane: int, reply: Reply) -> None:
    if turn.state != "over":
        st.empty()  # else the buttons of before would stay while the answer beside goes on, and a click would stop it
        return
    with row(width="content", gap="xsmall"):
        if _may_go_on(chat, turn, reply):
            st.button(
                "Continue",
                icon=":material/resume:",
                type="tertiary",
                key=f"chat:continue:{reply.id}",
                help="Let it write on from here",
                on_click=_ask_for_the_rest,
                args=(chat, turn, reply),
            )
        thumbs(chat, turn, pane, reply)
        key = f"chat:more:{reply.id}"
        chosen = st.menu_button(
            ":material/more_horiz:", [CORRECT, PROMPT], type="tertiary", key=key, help="Correct it, or see its prompt"
        )
        if chosen == CORRECT:
            session.remember(CORRECTING, reply.id)
            st.rerun()
        if chosen == PROMPT:
            show_prompt(chat, turn, pane)


def _may_go_on(chat: Chat, turn: Turn, reply: Reply) -> bool:
    """Whether it has no end yet, and nothing came after it that was said without the rest."""
    return turn is chat.turns[-1] and not turn.better and not reply.whole


def _question_form(chat: Chat, turn: Turn) -> None:
    key = f"chat:edited:{turn.id}"
    st.text_area("Question", turn.question, label_visibility="collapsed", height=100, key=key)
    after = len(chat.turns) - chat.turns.index(turn) - 1
    with row(width="content"):
        label = "Send again" if not after else f"Send again, dropping {after} below"
        st.button(label, type="primary", key="chat:resend", on_click=_resend, args=(chat, turn, key))
        st.button("Cancel", key="chat:edit cancel", on_click=session.remember, args=(EDITING, None))


def _resend(chat: Chat, turn: Turn, key: str) -> None:
    """Ask something else in this place; what came after it is gone."""
    text = (session.widget_value(key) or "").strip()
    session.remember(EDITING, None)
    if not text or turn not in chat.turns or turn.state == "writing":
        return
    del chat.turns[chat.turns.index(turn) + 1 :]
    ask_again(chat, turn.model_copy(update={"question": text}))


def ask_again(chat: Chat, turn: Turn) -> None:
    """Ask the last question anew, under the system prompt of now.

    It is a turn of its own, so that a writer that is being stopped leaves it alone.
    """
    if not chat.turns or chat.turns[-1].state == "writing":
        return
    seed = None if turn.seed is None else new_seed()
    chat.turns[-1] = Turn(question=turn.question, system=system_prompt(), seed=seed, state="asked")
    chats.save(chat)


def _ask_for_the_rest(chat: Chat, turn: Turn, reply: Reply) -> None:
    """Let an answer go on, unless another tab was quicker."""
    if turn is not chat.turns[-1] or turn.state != "over":
        return
    reply.error = None
    turn.state, turn.going_on = "asked", reply.id


def new_seed() -> int:
    """What shuffles the answers of a blind comparison."""
    return time.time_ns() % 2**31
