"""How an answer is drawn: temperature, top p, length, the system prompt; and the engine's memory."""

import streamlit as st

from core.errors import EngineError
from core.hardware import memory_use_of
from core.inference import process
from core.inference.client import Sampling
from studio import session, words
from studio.layout import split

DEFAULT = Sampling()
TEMPERATURE, TOP_P, MAX_TOKENS = "chat:temperature", "chat:top p", "chat:max tokens"
SEED, SYSTEM = "chat:seed", "chat:system"


def system_prompt() -> str:
    """What is said to the model before the conversation."""
    return (session.widget_value(SYSTEM) or "").strip()


def sampling_form() -> Sampling:
    """The popover, its label carrying the temperature; the system prompt stands in it too."""
    warmth = session.widget_value(TEMPERATURE, DEFAULT.temperature)
    with st.popover(f"Sampling · {warmth:g}", icon=":material/tune:", key="chat:sampling"):
        temperature = st.slider(
            "Temperature",
            0.0,
            2.0,
            DEFAULT.temperature,
            step=0.1,
            help="How freely words are drawn. 0 always takes the likeliest; over 1 gets wild.",
            key=TEMPERATURE,
            persist_state="session",
        )
        top_p = st.slider(
            "Top p",
            0.05,
            1.0,
            DEFAULT.top_p,
            step=0.05,
            help="Only the likeliest words that together have this share are drawn from.",
            key=TOP_P,
            persist_state="session",
        )
        max_tokens = st.number_input(
            "Max tokens",
            1,
            4096,
            DEFAULT.max_tokens,
            step=64,
            help="An answer is cut here.",
            key=MAX_TOKENS,
            persist_state="session",
        )
        seed = st.number_input(
            "Seed",
            0,
            2**31,
            None,
            placeholder="Another each time",
            help="The same number draws the same words again.",
            key=SEED,
            persist_state="session",
        )
        st.text_area(
            "System prompt",
            placeholder="None: the chat template's own",
            help="Said to the model before the conversation.",
            height=80,
            key=SYSTEM,
            persist_state="session",
        )
        _engine_memory()
    return Sampling(temperature=temperature, top_p=top_p, max_tokens=int(max_tokens), seed=seed)


def _engine_memory() -> None:
    """What the engine holds, and the button that frees it; nothing while no engine runs."""
    engine = process.running()
    if engine is None:
        return
    with split(gap="xsmall"):
        st.caption(f"The chat engine holds {words.size(memory_use_of(engine.pid))}", width="content")
        st.button("Unload", icon=":material/eject:", key="chat:unload", on_click=_unload)


def _unload() -> None:
    try:
        process.stop()
    except EngineError as error:
        session.notify(str(error))
