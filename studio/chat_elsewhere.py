"""Use it elsewhere: the engine's address and key, and how any OpenAI client asks it."""

import json

import streamlit as st

from core.errors import EngineError
from core.inference import process
from core.inference.choices import ChatModel
from core.inference.process import Engine
from studio import session

QUESTION = "Hello"


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
        curl.code(curl_example(engine, model.id), language="bash", wrap_lines=True)
        python.code(python_example(engine, model.id), language="python", wrap_lines=True)


def _facts(engine: Engine) -> None:
    st.markdown("Address")
    st.code(base_url(engine), language=None)
    st.markdown("Key")
    st.code(engine.key, language=None)
    st.caption(
        "It answers programs on this machine, as OpenAI's service would. The key is of this engine alone: it ends after ten "
        "minutes without a question, and the next one has another address and key."
    )


def base_url(engine: Engine) -> str:
    return f"{engine.url}/v1"


def curl_example(engine: Engine, model_id: str) -> str:
    """A command for a shell; a quote in a model's name cannot end the quoted body."""
    body = json.dumps({"model": model_id, "messages": [{"role": "user", "content": QUESTION}]}).replace("'", "'\\''")
    return (
        f"curl {base_url(engine)}/chat/completions \\\n"
        f'  -H "Authorization: Bearer {engine.key}" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{body}'"
    )


def python_example(engine: Engine, model_id: str) -> str:
    """With OpenAI's own package."""
    return (
        "from openai import OpenAI\n\n"
        f"client = OpenAI(base_url={base_url(engine)!r}, api_key={engine.key!r})\n"
        "answer = client.chat.completions.create(\n"
        f"    model={model_id!r},\n"
        f'    messages=[{{"role": "user", "content": "{QUESTION}"}}],\n'
        ")\n"
        "print(answer.choices[0].message.content)"
    )


def _start() -> None:
    try:
        process.engine()
    except EngineError as error:
        session.notify(str(error))
