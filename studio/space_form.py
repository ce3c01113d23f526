"""A chat Space for a published model: which model, where it will be, on what; its files to read and change; the push."""

import streamlit as st

from core.errors import HubError
from core.hub import account, space_asked
from core.hub.published import look, published_here
from core.hub.space_asked import Space
from core.hub.space_files import Shown, files
from core.hub.space_hardware import DEFAULT, HARDWARE
from studio import session
from studio.errors_shown import errors_shown
from studio.hub_account import account_known
from studio.hub_question import asked, forget, wait_shortly
from studio.layout import section
from studio.markdown import plain
from studio.space_editor import edited, space_editor
from studio.space_progress import space_progress


def space_form() -> None:
    """Two cards: the form, and the files that it makes."""
    grid = st.grid(2, min_column_width=400, border=True)
    with grid.cell():
        section("Space")
        model = _model()
        shown = _looked_at(model) if model else None
        made = _form(shown) if shown else {}
    with grid.cell():
        section("Files of the Space")
        if shown:
            space_editor(shown.id, made)
        else:
            st.caption("The program, what it needs, and its page on the Hub appear here once a model is chosen.")


def _form(shown: Shown) -> dict[str, str]:
    """The settings and the push; the files as they are made from these settings."""
    values = _settings(shown)
    made = files(shown, values["space"].partition("/")[2] or "Chat", values["hardware"])
    _push(values, edited(shown.id, made))
    return made


def _model() -> str | None:
    """One that was published from here, or any other by its id."""
    chosen = st.selectbox(
        _title("model"),
        published_here(),
        index=None,
        accept_new_options=True,
        placeholder="Choose, or write owner/name",
        help="A chat page on the Hub is made for it: a Space, which others can open in their browser.",
        key="space:model",
        persist_state="session",
    )
    return (chosen or "").strip() or None


def _looked_at(model: str) -> Shown | None:
    """What the Hub says of it; None while that is not known, or where it cannot be shown."""
    token = session.hub_token() or account.token()
    question = f"model {model}"
    try:
        found = wait_shortly(asked(question, lambda: look(model, token)))
    except HubError as error:
        st.caption(f":orange[:material/warning: {plain(str(error))}]")
        st.button("Check again", icon=":material/refresh:", key="space:again", on_click=forget, args=(question,))
        return None
    if found is None:
        st.caption(f":shimmer[Asking the Hub for {plain(model)}…]")
    return found


def _settings(shown: Shown) -> dict:
    name = st.text_input(
        _title("space"), value=f"{_owner(shown)}/{shown.id.partition('/')[2]}-chat", help=_help("space"), max_chars=96,
        key=f"space:name:{shown.id}", persist_state="session",
    )  # fmt: skip
    hardware = st.segmented_control(
        _title("hardware"), list(HARDWARE), default=DEFAULT, required=True, width="stretch",
        format_func=lambda choice: HARDWARE[choice].title, key="space:hardware", persist_state="session",
    )  # fmt: skip
    st.caption(HARDWARE[hardware].description)
    private = st.toggle(
        _title("private"), value=True, help=_help("private"), key="space:private", persist_state="session"
    )
    values = {"space": name.strip(), "model": shown.id, "hardware": hardware, "private": private}
    values["secret"] = _secret(shown) if shown.why_token else False
    return values


def _owner(shown: Shown) -> str:
    """The model's own, where one may write there; else the first where one may."""
    found, owner = account_known(), shown.id.partition("/")[0]
    return owner if found is None or owner in found.writable else next(iter(found.writable), owner)


def _secret(shown: Shown) -> bool:
    """Off, it has to be set by hand; what it means to switch it on is said where it is switched."""
    given = st.toggle(_title("secret"), value=False, key=f"space:secret:{shown.id}", persist_state="session")
    if given:
        st.caption(f":orange[:material/key: {plain(_help('secret'))}]")
    else:
        st.caption(
            f":material/lock: {plain(shown.why_token)}. The Space can only read it with a token: give it yours, set a "
            "secret HF\\_TOKEN by hand in its settings, or make the model public."
        )
    return given


def _push(values: dict, texts: dict[str, str]) -> None:
    signed_in = session.hub_token() or account.token()
    if not signed_in:
        st.caption(":material/lock: Sign in above with a token that may write.")
    pressed = st.button(
        "Push to the Hub", icon=":material/cloud_upload:", type="primary", width="stretch", disabled=not signed_in, key="space:push",
    )  # fmt: skip
    replaced = space_progress(values["space"], values["model"])
    if pressed or replaced:
        with errors_shown():
            space_asked.start(values | {"replace": replaced}, texts, session.hub_token())
            st.rerun()


def _title(name: str) -> str:
    return Space.model_fields[name].title or name


def _help(name: str) -> str:
    return Space.model_fields[name].description or ""
