"""The app with its uploads on the disk, as `python -m studio` serves it. `streamlit run studio/app.py` is the app alone."""

import streamlit as st
from starlette.middleware import Middleware

from studio.streamed import UploadsToDisk

app = st.App("app.py", middleware=[Middleware(UploadsToDisk)])
