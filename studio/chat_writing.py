"""Let the model answer the last question, word by word, until it is done, fails, or is stopped.

Streamlit ends a script by an exception out of its next `st` call, and every later call raises too: nothing can be drawn
or stored any more. What was written is therefore kept by changing the message itself, piece by piece. Until that next
call the new run of the page is already there, beside this one; it waits and draws anew when the question is over.
"""

import time
from typing import Any

import streamlit as st

from core.errors import EngineError
from core.inference import client, process
from core.inference.choices import ChatModel
from core.inference.client import Sampling
from studio.chat_message import Message, answer, to_send
from studio.chat_model import AVATARS
from studio.chat_text import safe_markdown

CURSOR = " ▍"
DRAW_EVERY_S = 0.05


def write_answer(history: list[Message], model: ChatModel, sampling: Sampling, system: str, with_stop: bool) -> None:
    """Draw the answer as it comes and add it to the history; an error stays with the question."""
    asked, reply = history[-1], answer(model)
    asked |= {"state": "writing", "error": None}
    with st.chat_message("assistant", avatar=AVATARS[model.tuned]):
        body, foot = st.empty(), st.empty()
        if with_stop:
            st.button("Stop", icon=":material/stop_circle:", key="chat:stop")
    redraw_when_over(asked)
    try:
        engine = _engine(foot)
        _write(client.stream(engine, model.id, to_send(history, system), sampling), reply, history, (body, foot))
    except EngineError as error:
        (reply if reply["content"] else asked)["error"] = str(error)
    finally:
        asked["state"] = "over"
    st.rerun()


def _engine(foot: Any) -> Any:
    if process.running():
        return process.engine()
    with foot, st.spinner("Starting the chat engine… The first message takes some seconds longer."):
        return process.engine()


def _write(stream: Any, reply: Message, history: list[Message], places: tuple[Any, Any]) -> None:
    """Draw every piece, the empty ones too: they come while nothing is written, and a draw is what obeys a stop."""
    body, foot = places
    foot.caption(":shimmer[Loading the model and reading…]")
    drawn = 0.0
    try:
        for piece in stream:
            if piece and not reply["content"]:
                foot.caption(":shimmer[Writing…]")  # first: after a stop it raises, and the history may have gone on
                history.append(reply)
            reply["content"] += piece
            if not piece or time.monotonic() - drawn >= DRAW_EVERY_S:
                drawn = time.monotonic()
                body.markdown(safe_markdown(reply["content"]) + CURSOR, anchors=False)
        reply["stopped"] = False
    finally:
        stream.close()
        reply["stats"] = stream.stats


def redraw_when_over(asked: Message) -> None:
    """Look every second whether the question is over, then draw the page anew."""

    @st.fragment(run_every=1, key="chat:over")
    def look() -> None:
        if asked["state"] == "over":
            st.rerun()

    look()
