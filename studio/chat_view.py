"""The conversation: who answers, what was said, what could be asked, and the line to write on."""

import streamlit as st

from core.inference.choices import ChatModel
from core.inference.client import Sampling
from studio import session
from studio.chat_message import Message, question, show
from studio.chat_model import chat_model, example_questions
from studio.chat_writing import redraw_when_over, write_answer

WIDTH = 760
EXAMPLES_KEY = "chat:example"


def chat_view(sampling: Sampling, system: str) -> None:
    history = session.chat_history()
    # At the top level of the page: only then does Streamlit keep the newest message in view.
    typed = st.chat_input("Message the model", submit_mode="stop", key="chat:input")
    if typed:
        history.append(question(typed))
    with _centred():
        model = chat_model()
        # In places of their own: what the run before drew under the conversation would stay while an answer is written.
        conversation, below = st.container(), st.empty()
    with conversation:
        for message in history:
            show(message, model)
        if history and history[-1].get("state") == "asked":
            # The line to write on has its own Stop, but only for what was written on it.
            below.empty()
            write_answer(history, model, sampling, system, with_stop=not typed)
    with below.container():
        _end_of(history, model)


def _end_of(history: list[Message], model: ChatModel) -> None:
    """What stands under the conversation: things to ask, or what became of the last question."""
    asked = next((message for message in reversed(history) if message["role"] == "user"), None)
    if asked is None:
        _examples(model)
    elif asked["state"] == "writing":
        st.caption(":shimmer[Stopping…]")
        redraw_when_over(asked)
    elif _unfinished(history[-1]):
        _send_again(history[-1])


def new_chat_button() -> None:
    st.button("New chat", icon=":material/edit_square:", key="chat:new", on_click=session.forget_chat)


def _centred():
    return st.container(horizontal_alignment="center").container(width=WIDTH)


def _examples(model: ChatModel) -> None:
    st.space("medium")
    with st.container(horizontal_alignment="center", gap="xsmall"):
        st.markdown(":material/forum:", width="content")
        st.markdown("**Nothing said yet**", width="content")
        st.caption("Ask one of these, or write your own below.", width="content")
        st.pills(
            "Ask",
            example_questions(model),
            label_visibility="collapsed",
            wrap=True,
            key=EXAMPLES_KEY,
            on_change=_ask_example,
        )


def _ask_example() -> None:
    if text := session.widget_value(EXAMPLES_KEY):
        session.chat_history().append(question(text))


def _unfinished(last: Message) -> bool:
    """No answer came, or it was cut off by a stop or an error."""
    return last["role"] == "user" or last["stopped"]


def _send_again(last: Message) -> None:
    if last["role"] == "user" and not last["error"]:
        st.caption("Stopped before the first word.")
    st.button("Send again", icon=":material/refresh:", key="chat:again", on_click=_ask_again)


def _ask_again() -> None:
    """Ask the last question once more; half an answer to it is dropped."""
    history = session.chat_history()
    if history and history[-1]["role"] == "assistant":
        history.pop()
    if history:
        history[-1]["state"] = "asked"
