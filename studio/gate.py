"""Under a gated model that was chosen: whether it is open to who is signed in, and what is left to do if not."""

import streamlit as st

from core.errors import HubError
from core.hub import account
from studio import session
from studio.hub_question import asked, forget, wait_shortly
from studio.layout import row
from studio.navigation import go_to

WAIT_S = 0.2  # the page has more to show


def gate(model: str) -> None:
    token = session.hub_token() or account.token()
    if token is None:
        st.caption("Accept its licence, then sign in.")
        with row(gap="small"):
            _licence(model)
            if st.button("Sign in", type="tertiary", icon=":material/login:", key="gate:sign in"):
                go_to("hub")
        return
    question = f"gate of {model}"
    try:
        is_open = wait_shortly(asked(question, lambda: account.may_read(model, token)), WAIT_S)
        said = {True: ":material/lock_open: Open to you", None: "Asking the Hub…"}.get(
            is_open, "Accept its licence first."
        )
    except HubError:
        is_open, said = False, "The Hub does not say whether it is open to you."
    st.caption(said)
    if is_open is False:
        with row(gap="small"):
            _licence(model)
            st.button(
                "Check again",
                type="tertiary",
                icon=":material/refresh:",
                key="gate:again",
                on_click=forget,
                args=(question,),
            )


def _licence(model: str) -> None:
    st.link_button("Licence", account.repository_page(model), type="tertiary", icon=":material/open_in_new:")
