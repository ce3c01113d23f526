"""The app with its uploads on the disk, as `python -m studio` serves it. `streamlit run studio/app.py` is the app alone."""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from studio.stale_ticks import drop_stale_ticks
from studio.streamed import UploadsToDisk

drop_stale_ticks()
app = st.App(Path(__file__).with_name("app.py"), middleware=[Middleware(UploadsToDisk)])
