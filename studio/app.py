"""The studio's entry point: `streamlit run studio/app.py`. Page list, sidebar, then the page."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

import streamlit as st

from studio.errors_shown import errors_shown
from studio.logo import ICON, show_logo
from studio.markdown import plain
from studio.navigation import page_name, pages
from studio.session import page_drawn, page_opened, take_notice
from studio.sidebar import sidebar

# Before the page list: the browser would fetch a page's icon from the internet if the tab had none of its own.
st.set_page_config(
    page_icon=ICON,
    layout="wide",
    initial_sidebar_state=224,
    menu_items={"About": "Fine-Tuning Studio: teach a language model on your own machine."},
)
page = st.navigation(pages())
st.set_page_config(page_title=f"{page_name(page)} · Fine-Tuning Studio")
page_opened(page_name(page))
show_logo()
sidebar()
if notice := take_notice():
    st.toast(plain(notice), icon=":material/info:")
with errors_shown():
    page.run()
page_drawn(page_name(page))
