"""What one browser tab remembers, as typed functions. The draft recipe is on disk, so it also survives a reload."""

from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import streamlit as st

from core import home
from core.chats import Chat
from core.errors import RecipeError
from core.files import write_whole
from core.jobs.folder import Job
from core.jobs.listing import known_job
from core.recipe import Recipe
from core.recipe_yaml import load, to_yaml

# Another tab has changed the draft.
ELSEWHERE = "draft:elsewhere"
# The files beside the draft that hold what stood in it before, and what could not be read.
BEFORE, UNREADABLE = "before", "unreadable"


def remember(key: str, value: Any) -> None:
    """Keep a small fact for as long as the tab lives; a widget's own key is gone once its page is left."""
    st.session_state[f"fact:{key}"] = value


def recall(key: str, default: Any = None) -> Any:
    return st.session_state.get(f"fact:{key}", default)


def forget(beginning: str) -> None:
    """Forget every fact whose key begins so."""
    for key in [key for key in st.session_state if str(key).startswith(f"fact:{beginning}")]:
        del st.session_state[key]


def draft() -> Recipe:
    """The recipe being edited; the defaults where there is none yet, or where its file is broken."""
    path = home.draft_file()
    stamp = (path, path.stat().st_mtime_ns) if path.exists() else (path, 0)
    known, recipe = recall("draft", (None, None))
    if known != stamp:
        recipe = _read_draft() if stamp[1] else Recipe()
        remember("draft", (stamp, recipe))
        remember(ELSEWHERE, known is not None)
    return recipe


def changed_elsewhere() -> bool:
    """Whether another tab has changed the draft since this one last showed it; asked once."""
    found = recall(ELSEWHERE, False)
    remember(ELSEWHERE, False)
    return found


def _read_draft() -> Recipe:
    try:
        return load(home.draft_file())
    except RecipeError as error:
        # The first change would write over it.
        kept = _set_aside()
        notify(f"The saved settings could not be read, so the defaults are shown; what was saved is in {kept}. {error}")
        return Recipe()


def _set_aside() -> Path:
    """Rename the draft to the first name that is free for what could not be read; where it is now."""
    free = kept = home.draft_file(UNREADABLE)
    for number in count(2):
        if not free.exists():
            break
        kept, free = free, home.draft_file(f"{UNREADABLE}-{number}")
    with suppress(FileNotFoundError):  # another tab was first
        return home.draft_file().rename(free)
    return kept


def save_draft(recipe: Recipe) -> None:
    """Write the draft to disk, if it changed."""
    if recipe != draft() or not home.draft_file().exists():
        write_whole(home.draft_file(), to_yaml(recipe))
        remember("draft", ((home.draft_file(), home.draft_file().stat().st_mtime_ns), recipe))


def replace_draft(recipe: Recipe) -> bool:
    """Another recipe takes the whole draft's place; whether that changed anything. What stood there is kept."""
    before = draft()
    changed = before != recipe
    if changed:
        write_whole(home.draft_file(BEFORE), to_yaml(before))
    save_draft(recipe)
    return changed


def replaced_draft() -> bool:
    """Whether there is a draft that another recipe has taken the place of."""
    return home.draft_file(BEFORE).exists()


def bring_back_draft() -> None:
    """The two change places, so that this too can be taken back; raises RecipeError."""
    replace_draft(load(home.draft_file(BEFORE)))


def select_job(job_id: str | None) -> None:
    """Choose this run alone, or none: Runs opens it and Train shows it."""
    select_jobs([job_id] if job_id else [])


def select_jobs(ids: list[str], by_table: bool = False) -> None:
    """Choose runs, the last one last. The table of runs shows what was chosen in it already; from elsewhere it is told."""
    remember("jobs", ids)
    if not by_table:
        remember("chosen elsewhere", times_chosen_elsewhere() + 1)


def times_chosen_elsewhere() -> int:
    """How often runs were chosen by anything but the table: it needs another widget then, which begins with that choice."""
    return recall("chosen elsewhere", 0)


def selected_jobs() -> list[Job]:
    """The chosen runs whose folders are still there, in the order they were chosen."""
    return [job for job_id in recall("jobs", []) if (job := known_job(job_id))]


def selected_job() -> Job | None:
    """The run that was chosen last."""
    return next(reversed(selected_jobs()), None)


def choose_chat_model(model_id: str, pane: int = 0) -> None:
    """Which model answers in a pane of Chat; ids as in core/inference/choices.py."""
    remember(f"chat model {pane}", model_id)


def chosen_chat_model(pane: int = 0) -> str | None:
    return recall(f"chat model {pane}")


def chat() -> Chat:
    """The conversation of this tab, a new one at first; what is changed in it stays changed."""
    return st.session_state.setdefault("chat", Chat())


def open_chat(chat: Chat) -> None:
    st.session_state["chat"] = chat


def forget_chat() -> None:
    """Begin anew; what was said is saved."""
    open_chat(Chat())


def hub_token() -> str | None:
    """The Hub's token that was typed in this tab; the machine's own is found without it. It is never written down."""
    return recall("hub token")


def sign_in(token: str) -> None:
    remember("hub token", token)


def sign_out() -> None:
    """Forget the token of this tab."""
    remember("hub token", None)


def notify(text: str) -> None:
    """Say something once, on the page that is drawn next."""
    remember("notice", text)


def take_notice() -> str | None:
    text = recall("notice")
    remember("notice", None)
    return text


def theme_changed() -> bool:
    """Whether the browser's theme is another than at the last look: switching it does not rerun the script."""
    before, now = recall("theme"), st.context.theme.type
    remember("theme", now)
    return before is not None and before != now


def page_opened(page: str) -> None:
    """A page begins to be drawn; another one than the last has to be told what its widgets show."""
    if recall("page") != page:
        remember("page drawn", None)
    remember("page", page)


def page_drawn(page: str) -> None:
    """A page was drawn to its end."""
    remember("page drawn", page)


def show_in(key: str, value: Any) -> None:
    """Let a widget show this value, whatever it showed before: called before it is drawn, or from a callback.

    A widget of a page that is drawn anew is told even what is known of it: the browser has forgotten.
    """
    anew = recall("page drawn") != recall("page")
    if anew or key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value


def widget_value(key: str, default: Any = None) -> Any:
    """What a widget holds, for its callback or for a label above it."""
    return st.session_state.get(key, default)
