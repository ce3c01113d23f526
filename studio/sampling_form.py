"""How an answer is drawn: temperature, top p, length and what is seldom changed, the system prompt; and the memory it takes."""

from typing import Any

import streamlit as st

from core.inference.client import Sampling
from core.inference.protocol import MOST_STOPS
from core.inference.room import Room
from studio import session
from studio.chat_memory import NAMES, chosen_bits, memory_section

DEFAULT = Sampling()
TEMPERATURE, TOP_P, MAX_TOKENS = "chat:temperature", "chat:top p", "chat:max tokens"
SEED, SYSTEM = "chat:seed", "chat:system"
HELP = {
    "temperature": "How freely words are drawn. 0 always takes the likeliest; over 1 gets wild.",
    "top_p": "Only the likeliest words that together have this share are drawn from.",
    "max_tokens": "An answer is cut here.",
    "seed": "The same number draws the same words again.",
    "top_k": "Only so many of the likeliest words are drawn from; 0: any number.",
    "min_p": "Words less likely than this share of the likeliest are not drawn. Raise it where answers drift.",
    "repetition_penalty": "Over 1 makes what was said already less likely. Raise it a little where answers repeat themselves.",
    "stop": "An answer ends where it would say one of these, a line each, four at most.",
}


def system_prompt() -> str:
    """What is said to the model before the conversation."""
    key, given = _system_field()
    return (session.widget_value(key, given) or "").strip()


def give_system_prompt(text: str | None) -> None:
    """In a new field: of one in a closed popover the browser hears no change, and says what it last held."""
    number, _ = session.recall(SYSTEM, (0, ""))
    session.remember(SYSTEM, (number + 1, text or ""))


def _system_field() -> tuple[str, str]:
    """The key of the field, and what stands in it at first."""
    number, given = session.recall(SYSTEM, (0, ""))
    return f"{SYSTEM}:{number}" if number else SYSTEM, given


def sampling_form(room: Room | None) -> Sampling:
    """The popover, its label carrying the temperature, and the bits where they are few; the system prompt stands in it too."""
    warmth = session.widget_value(TEMPERATURE, DEFAULT.temperature)
    held = f" · {NAMES[chosen_bits()]}" if chosen_bits() < 16 else ""
    with st.popover(f"Sampling · {warmth:g}{held}", icon=":material/tune:", key="chat:sampling"):
        temperature = _slider("Temperature", 0.0, 2.0, DEFAULT.temperature, 0.1, TEMPERATURE, HELP["temperature"])
        top_p = _slider("Top p", 0.05, 1.0, DEFAULT.top_p, 0.05, TOP_P, HELP["top_p"])
        one, two = st.columns(2, gap="xsmall")
        with one:
            most = _whole("Max tokens", 1, 4096, DEFAULT.max_tokens, MAX_TOKENS, HELP["max_tokens"])
        with two:
            seed = _whole("Seed", 0, 2**31, None, SEED, HELP["seed"])
        more = _more()
        key, given = _system_field()
        st.text_area(
            "System prompt",
            given,
            placeholder="None: the chat template's own",
            help="Said to the model before the conversation.",
            height=80,
            key=key,
            persist_state="session",
        )
        memory_section(room)
    return Sampling(temperature=temperature, top_p=top_p, max_tokens=most, seed=seed, **more)


def _more() -> dict[str, Any]:
    """What is seldom changed, folded away."""
    with st.expander("More", key="chat:seldom changed"):
        one, two = st.columns(2, gap="xsmall")
        with one:
            top_k = _whole("Top k", 0, 1000, DEFAULT.top_k, "chat:top k", HELP["top_k"])
        with two:
            min_p = st.number_input(
                "Min p", 0.0, 1.0, DEFAULT.min_p, 0.01, help=HELP["min_p"], key="chat:min p", persist_state="session"
            )
        penalty = _slider(
            "Repetition penalty", 0.5, 2.0, DEFAULT.repetition_penalty, 0.05, "chat:penalty", HELP["repetition_penalty"]
        )
        stop = st.text_area("Stop at", help=HELP["stop"], height=68, key="chat:stop at", persist_state="session")
    ends = tuple(line for line in (stop or "").splitlines() if line)[:MOST_STOPS]
    return {"top_k": top_k, "min_p": min_p, "repetition_penalty": penalty, "stop": ends}


def _slider(label: str, low: float, high: float, value: float, step: float, key: str, said: str) -> float:
    return st.slider(label, low, high, value, step=step, help=said, key=key, persist_state="session")


def _whole(label: str, low: int, high: int, value: int | None, key: str, said: str) -> int | None:
    shown = "Random" if value is None else None
    return st.number_input(
        label, low, high, value, step=1, placeholder=shown, help=said, key=key, persist_state="session"
    )
