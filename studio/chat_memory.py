"""Memory: in how many bits the base is held, whether it fits beside what else runs, and what the engine holds now."""

from contextlib import suppress

import streamlit as st

from core.errors import EngineError
from core.hardware import memory_use_of
from core.inference import client, process
from core.inference.choices import ChatModel
from core.inference.client import Bits
from core.inference.room import Room, room_for_source
from studio import session, words
from studio.layout import split
from studio.markdown import plain

KEY = "chat:bits"
NAMES: dict[Bits, str] = {16: "Full", 8: "8-bit", 4: "4-bit"}


def chosen_bits() -> Bits:
    return session.widget_value(KEY, 16)


def room_of(models: list[ChatModel]) -> Room | None:
    """For whoever answers now: the base that needs most, as one is in memory at a time. None where no size is known."""
    held = _held_bytes()
    bases = dict.fromkeys((model.base, model.drop_layers) for model in models)
    rooms = (room_for_source(base, chosen_bits(), held, dropped) for base, dropped in bases)
    return max(filter(None, rooms), key=lambda room: room.needed, default=None)


def room_line(room: Room | None) -> None:
    """Above the conversation, where something else needs the memory too: a training that shares it, or all of it in use."""
    if room and not room.enough:
        st.warning(plain(room.sentence), icon=":material/memory:")
    elif room and room.training:
        st.caption(f":material/memory: {plain(room.sentence)}")


def memory_section(room: Room | None) -> None:
    st.segmented_control(
        "Weights",
        list(NAMES),
        format_func=NAMES.get,
        default=16,
        required=True,
        width="stretch",
        help="In how many bits the base's linear layers are held. Fewer take less memory, answer more slowly on a CPU, and a "
        "little worse; the model is loaded anew.",
        key=KEY,
        persist_state="session",
    )
    if room:
        st.caption(plain(room.sentence))
    _engine_memory()


def _held_bytes() -> int:
    """What the engine gives back before it loads another model."""
    engine = process.running()
    with suppress(EngineError):
        return client.state(engine, client.GLANCE).held_bytes if engine else 0
    return 0


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
