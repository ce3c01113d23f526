"""Use it elsewhere: the engine's address and key, and how any OpenAI client asks it."""

import streamlit as st

from core.errors import EngineError
from core.inference import example, process
from core.inference.choices import ChatModel
from core.inference.process import Engine
from studio import session


def use_elsewhere(model: ChatModel) -> None:
    with (
        st.popover("Use it elsewhere", icon=":material/api:", type="tertiary", key="chat:elsewhere"),
        st.container(width=520, gap="small"),
    ):
        engine = process.running()
        if engine is None:
            st.caption("The chat engine is not running. It starts with the first message, or now.")
            st.button("Start the engine", icon=":material/play_arrow:", key="chat:start engine", on_click=_start)
            return
        _facts(engine)
        curl, python = st.tabs(["curl", "Python"])
        curl.code(example.curl(base_url(engine), engine.key, model.id), language="bash", wrap_lines=True)
        python.code(example.python(base_url(engine), engine.key, model.id), language="python", wrap_lines=True)


def _facts(engine: Engine) -> None:
    st.markdown("Address")
    st.code(base_url(engine), language=None)
    st.markdown("Key")
    st.code(engine.key, language=None)
    st.caption(
        "It answers programs on this machine, as OpenAI's service would. The key is of this engine alone: it ends after ten "
        "minutes without a question, and the next one has another address and key. `python -m core serve` starts one that stays."
    )


def base_url(engine: Engine) -> str:
    return f"{engine.url}/v1"


def _start() -> None:
    try:
        process.engine()
    except EngineError as error:
        session.notify(str(error))
