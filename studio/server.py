"""The app as `python -m studio` serves it: its uploads on the disk, and a door. `streamlit run studio/app.py` is the app alone."""

import os
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from studio import stream_by_http, this_machine
from studio.page_script import PageScript
from studio.password import Password
from studio.stale_ticks import drop_stale_ticks
from studio.stream_by_http import StreamByHttp
from studio.streamed import UploadsToDisk
from studio.this_machine import ThisMachine

drop_stale_ticks()


def _door() -> list[Middleware]:
    """Who may come in. The password is taken out of the environment, which every job inherits."""
    if password := os.environ.pop("STUDIO_PASSWORD", None):
        script = Middleware(PageScript, stream_by_http.script())
        return [Middleware(Password, password), script, Middleware(StreamByHttp)]
    return [Middleware(ThisMachine), Middleware(PageScript, this_machine.script())]


app = st.App(Path(__file__).with_name("app.py"), middleware=[*_door(), Middleware(UploadsToDisk)])
