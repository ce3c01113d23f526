"""The draft as a file: look at its YAML, copy or download it, or load another."""

import streamlit as st

from core.errors import StudioError
from core.recipe import Recipe
from core.recipe_yaml import MAX_RECIPE_BYTES, from_yaml, to_yaml
from studio import session
from studio.markdown import plain_lines

LOADED_KEY, REFUSED_KEY = "recipes loaded", "recipe refused"
KEPT = "Kept: run name, model, data."


def recipe_file(recipe: Recipe) -> None:
    with st.popover("Recipe", icon=":material/description:", key="recipe file"), st.container(width=460):
        text = to_yaml(recipe)
        st.code(text, language="yaml", height=320)
        st.download_button(
            "Download",
            text,
            file_name=f"{recipe.name}.yaml",
            mime="application/yaml",
            icon=":material/download:",
            on_click="ignore",
            key="recipe:download",
        )
        key = f"recipe:load:{session.recall(LOADED_KEY, 0)}"  # a new key empties the widget
        st.file_uploader(
            "Load a recipe",
            type=["yaml", "yml"],
            max_upload_size=1,
            key=key,
            help="Every setting on these pages becomes that of the file.",
            on_change=_load,
            args=(key,),
        )
        if refused := session.recall(REFUSED_KEY):
            st.error(plain_lines(refused), icon=":material/error:")
        if session.replaced_draft():
            _bring_back_button()


def _bring_back_button() -> None:
    st.button(
        "Bring back the settings before",
        icon=":material/history:",
        help="Those that a run's, a file's or the defaults have taken the place of. Press again to change back.",
        on_click=_bring_back,
        key="recipe:before",
    )


def _bring_back() -> None:
    try:
        session.bring_back_draft()
    except StudioError as error:
        session.notify(str(error))
    else:
        session.notify("The settings before are back.")


def _load(key: str) -> None:
    if upload := session.widget_value(key):
        session.remember(LOADED_KEY, session.recall(LOADED_KEY, 0) + 1)
        session.remember(REFUSED_KEY, _refusal(upload.read(MAX_RECIPE_BYTES)))


def _refusal(content: bytes) -> str | None:
    """Take a recipe file as the draft; or say what is wrong with it, all of it."""
    try:
        session.replace_draft(from_yaml(content.decode("utf-8-sig")))
    except UnicodeDecodeError:
        return "This file is not UTF-8 text, so it is no recipe."
    except StudioError as error:
        return str(error)
    session.notify("The recipe is loaded.")
    return None


def reset_button() -> None:
    st.button(
        "Reset",
        icon=":material/undo:",
        type="tertiary",
        help=f"Every setting of this page back to its default, but the adapter to start from. {KEPT}",
        on_click=_reset,
        key="reset",
    )


def _reset() -> None:
    """All settings of the page back to their defaults, those of the data that stand there too."""
    draft, usual = session.draft(), Recipe().data
    data = draft.data.model_copy(update={"max_length": usual.max_length, "packing": usual.packing})
    session.replace_draft(Recipe(name=draft.name, model=draft.model, data=data))
    session.notify(f"Back to the defaults, Max tokens and Packing too. {KEPT}")
