"""What stands where there is nothing yet: an icon, what will appear here, and the way to it."""

import streamlit as st

from studio.navigation import go_to


def empty_state(icon: str, title: str, text: str, action: tuple[str, str] | None = None) -> None:
    """A centred card; `action` is a button's label and the page that it opens."""
    with st.container(border=True, horizontal_alignment="center", gap="xxsmall"):
        st.space("xsmall")
        st.markdown(f":material/{icon}:", text_alignment="center")
        st.markdown(f"**{title}**", text_alignment="center")
        st.caption(text, text_alignment="center")
        if action and st.button(action[0], icon=":material/add:", key=f"empty:{title}"):
            go_to(action[1])
        st.space("xsmall")
