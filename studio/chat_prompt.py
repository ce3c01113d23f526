"""The prompt as the model sees it: a conversation written with its chat template, token by token."""

import streamlit as st

from core.chats import Chat, Turn
from core.inference import client, process
from studio.charts import palette
from studio.errors_shown import errors_shown
from studio.session import hub_token
from studio.token_view import prompt_html

MANY = 400  # tokens; more scroll


def show_prompt(chat: Chat, turn: Turn, pane: int) -> None:
    """Ask the engine, which has the tokenizer, and show it over the page."""

    @st.dialog("The prompt as the model sees it", width="large")
    def prompt() -> None:
        with errors_shown(), st.spinner("Reading…"):
            _draw(chat, turn, pane)

    prompt()


def _draw(chat: Chat, turn: Turn, pane: int) -> None:
    reply = turn.answer_in(pane)
    found = client.reading(process.engine().asking_with(hub_token()), reply.model, chat.prompt(turn, pane))
    st.caption(
        f"{len(found.ids):,} tokens of the {found.context:,} that the model reads, its answer included. Small tokens are "
        "the chat template's own; hovering over one tells its id."
    )
    with st.container(border=True, height=420 if len(found.ids) > MANY else "content"):
        st.html(prompt_html(found, palette()))
    with st.expander("As text, to copy"):
        st.code("".join(found.pieces), language=None, wrap_lines=True)
