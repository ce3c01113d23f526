"""The mark and the word beside it, in the colours of the theme. The word is outlines: SVG text would fall back to Arial."""

from pathlib import Path

import streamlit as st

FOLDER = Path(__file__).parent
ICON = FOLDER / "icon.png"


def show_logo() -> None:
    dark = st.context.theme.type == "dark"
    mark, ink = ("#506AEC", "#E6E8EC") if dark else ("#3F5BD9", "#12151B")
    drawing = (FOLDER / "logo.svg").read_text(encoding="utf-8")
    st.logo(drawing.replace("{mark}", mark).replace("{ink}", ink), size="medium")
