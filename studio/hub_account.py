"""The account on the Hub: whose token it is and what it may do, signing in for this tab, and signing out."""

import streamlit as st

from core.errors import HubError
from core.hub import account
from core.hub.account import Account
from studio import session
from studio.hub_question import answer_so_far, asked, forget, forget_all, wait_shortly
from studio.layout import row, section, split
from studio.markdown import plain

QUESTION = "account"
FIELD = "hub:token"
ORIGINS = {"environment": "The token in `HF_TOKEN`", "login": "The token of `hf auth login`"}
TYPED = "The token that only this tab knows"
RIGHTS = {"write": "write", "read": "read only", "fineGrained": "fine-grained"}


def account_known() -> Account | None:
    """Who is signed in, if the Hub has told already."""
    answer = answer_so_far(QUESTION)
    return answer.result() if answer and answer.done() and answer.exception() is None else None


def account_card() -> None:
    """Who is signed in, or the way to."""
    token = session.hub_token() or account.token()
    with st.container(border=True):
        if token is None:
            _sign_in_card()
            return
        try:
            found = wait_shortly(asked(QUESTION, lambda: account.who(token)))
        except HubError as error:
            _trouble(error)
            return
        if found is None:
            st.caption(":shimmer[Asking the Hub who you are…]")
        else:
            _signed_in(found)


def _signed_in(found: Account) -> None:
    typed = session.hub_token() is not None
    with split():
        with st.container(gap=None, width="content"):
            with row(width="content"):
                st.markdown(f"**{plain(found.name)}**", width="content")
                icon, colour = ("cloud_done", "green") if found.writable else ("visibility", "orange")
                st.badge(RIGHTS.get(found.role, found.role), icon=f":material/{icon}:", color=colour)
            st.caption(f"{TYPED if typed else ORIGINS[account.origin()]} {_rights(found)}", width="content")
        if typed:
            st.button("Sign out", type="tertiary", key="hub:sign out", on_click=_sign_out)
        else:
            with st.popover("Use another token", type="tertiary", key="hub:another"):
                _form()


def _rights(found: Account) -> str:
    """What the token may do, as the end of a sentence."""
    if not found.writable:
        return "may only read. Publishing and backups need one that may write."
    where = " and ".join(plain(owner) for owner in found.writable)
    others = [plain(name) for name in found.organisations if not found.may_write(name)]
    reads = f", and read {', '.join(others)}" if others else ""
    return f"may write to {where}{reads}."


def _sign_in_card() -> None:
    section("Sign in")
    st.caption("Only gated and private models, publishing and backups need an account. Everything else works without.")
    _form()


def _trouble(error: HubError) -> None:
    """The Hub did not tell who it is; all that needs no Hub goes on."""
    with split():
        with st.container(gap=None, width="content"):
            st.markdown(f":orange[:material/cloud_off:] {plain(str(error))}", width="content")
            st.caption("What is on this machine works on.", width="content")
        with row(width="content", horizontal_alignment="right"):
            if session.hub_token():
                st.button("Sign out", type="tertiary", key="hub:sign out", on_click=_sign_out)
            st.button("Check again", icon=":material/refresh:", key="hub:again", on_click=forget, args=(QUESTION,))
    if not session.hub_token():
        with st.expander("Sign in with another token"):
            _form()


def _form() -> None:
    """The field is emptied as it is sent: the token stays nowhere but in this tab's memory."""
    line = {"horizontal": True, "vertical_alignment": "bottom", "gap": "xsmall"}
    with st.form("hub:sign in", clear_on_submit=True, border=False), st.container(**line):
        typed = st.text_input(
            "Access token", type="password", placeholder="hf_…", autocomplete="off", width=320, key=FIELD
        )
        pressed = st.form_submit_button("Sign in", type="primary", key="hub:submit")
    st.caption(
        f"Make one at {account.TOKENS_PAGE}. It is kept in this tab's memory and forgotten when the tab is "
        "closed or reloaded; to stay signed in, run `hf auth login` in a terminal."
    )
    if pressed and (token := (typed or "").strip()):
        _sign_in(token)


def _sign_in(token: str) -> None:
    forget_all()
    try:
        with st.spinner("Asking the Hub…"):
            asked(QUESTION, lambda: account.who(token)).result()
    except HubError as error:
        forget(QUESTION)
        st.error(plain(str(error)), icon=":material/error:")
        return
    session.sign_in(token)
    st.rerun()


def _sign_out() -> None:
    session.sign_out()
    forget_all()
