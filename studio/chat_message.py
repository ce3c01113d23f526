"""The messages of a conversation as dictionaries in the session, how they are shown, and what is sent of them.

`role` and `content` are always there. A question has a `state`: asked, writing or over, and an `error` if no answer
came. An answer has `tuned` and `model`, `stopped` until it is whole, and the `stats` of its generation.
"""

from typing import Any

import streamlit as st

from core.inference.choices import ChatModel
from studio.chat_model import AVATARS
from studio.chat_text import safe_markdown
from studio.markdown import plain

Message = dict[str, Any]


def question(text: str) -> Message:
    return {"role": "user", "content": text, "state": "asked", "error": None}


def answer(model: ChatModel) -> Message:
    facts = {"tuned": model.tuned, "model": model.label, "stopped": True, "stats": None, "error": None}
    return {"role": "assistant", "content": ""} | facts


def to_send(history: list[Message], system: str) -> list[dict[str, str]]:
    """What the model reads: questions that were never answered are left out, except the last."""
    following = [message["role"] for message in history[1:]] + ["assistant"]
    kept = [m for m, after in zip(history, following, strict=True) if m["role"] != "user" or after == "assistant"]
    messages = [{"role": message["role"], "content": message["content"]} for message in kept]
    return [{"role": "system", "content": system}, *messages] if system else messages


def show(message: Message, current: ChatModel) -> None:
    """One message, whole, with its caption and its error."""
    avatar = AVATARS["user" if message["role"] == "user" else message["tuned"]]
    with st.chat_message(message["role"], avatar=avatar):
        st.markdown(safe_markdown(message["content"]), anchors=False)
        if message["role"] == "assistant":
            st.caption(_caption(message, current))
        if message["error"]:
            st.error("  \n".join(plain(line) for line in message["error"].splitlines()), icon=":material/error:")


def _caption(message: Message, current: ChatModel) -> str:
    """31 tokens · 28 tok/s · 0.4 s to first; and whatever is out of the ordinary."""
    stats, parts = message["stats"], []
    if stats and stats.tokens:
        parts.append(f"{stats.tokens:,} tokens")
        parts += [f"{stats.tokens_per_s:.0f} tok/s"] if stats.tokens_per_s else []
        parts += [f"{stats.seconds_to_first:.1f} s to first"] if stats.seconds_to_first is not None else []
    if message["stopped"] and not message["error"]:
        parts.append("stopped")
    elif stats and stats.finish_reason == "length":
        parts.append("cut at max tokens")
    if message["model"] != current.label:
        parts.append(plain(message["model"]))
    return " · ".join(parts)
