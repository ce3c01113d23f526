"""The three files of a Space in tabs: to read, or to change before they are pushed. What a person changed is kept."""

import streamlit as st

from studio import session
from studio.layout import row

LANGUAGES = {"app.py": "python", "requirements.txt": "text", "README.md": "markdown"}
HEIGHT = 420


def space_editor(model: str, made: dict[str, str]) -> None:
    """`made` are the files as they were made for this model; each tab shows one, as the person has it."""
    texts = edited(model, made)
    marks = {name: " :material/edit:" if texts[name] != made[name] else "" for name in made}
    for tab, name in zip(st.tabs([f"{name}{marks[name]}" for name in made]), made, strict=True):
        with tab:
            _file(model, name, texts[name], made[name])


def edited(model: str, made: dict[str, str]) -> dict[str, str]:
    """The files as they would be pushed: those that were changed as they are now, the others as they were made."""
    return made | {name: text for name, text in _kept(model).items() if name in made}


def take_over(model: str, texts: dict[str, str]) -> None:
    """Go on with these texts instead of one's own."""
    session.remember(_key(model), _kept(model) | texts)


def _file(model: str, name: str, text: str, made: str) -> None:
    with row(width="content"):
        editing = st.segmented_control(
            f"{name} as", ["Preview", "Edit"], default="Preview", required=True, label_visibility="collapsed",
            key=f"space:shown:{name}",
        )  # fmt: skip
        if text != made:
            st.button(
                "Undo my changes", type="tertiary", key=f"space:undo:{name}", on_click=_forget, args=(model, name)
            )
    if editing == "Preview":
        st.code(text, language=LANGUAGES[name], height=HEIGHT)
        return
    key = f"space:text:{name}"
    session.show_in(key, text)
    st.text_area(
        name, height=HEIGHT, key=key, label_visibility="collapsed", on_change=_keep, args=(model, name, made, key)
    )


def _keep(model: str, name: str, made: str, key: str) -> None:
    text = session.widget_value(key, made)
    if text == made:
        _forget(model, name)
    else:
        take_over(model, {name: text})


def _forget(model: str, name: str) -> None:
    session.remember(_key(model), {other: text for other, text in _kept(model).items() if other != name})


def _kept(model: str) -> dict[str, str]:
    return session.recall(_key(model), {})


def _key(model: str) -> str:
    return f"space files {model}"
