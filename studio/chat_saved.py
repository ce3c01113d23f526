"""The saved conversations: search, open, rename, take away, delete."""

import streamlit as st

from core import chats
from core.chat_export import as_jsonl, as_markdown
from core.chats import Chat, saved_chats, unreadable_chats
from studio import session, words
from studio.chat_compare import compare_as_in
from studio.layout import row
from studio.local_time import when
from studio.markdown import plain
from studio.sampling_form import give_system_prompt

SEARCH, MOST_SHOWN = "chat:search", 20
ADDRESS = "chat"  # in the page's address, so that a reload shows the same conversation


def restore_chat() -> None:
    """In a tab that has no conversation yet, open the one that its address names; later, what another tab made of it."""
    named = st.query_params.get(ADDRESS)
    if named and not session.recall("chat restored"):
        found = next((chat for chat in saved_chats() if chat.id == named), None)
        if found and not session.chat().turns:
            _open(found)
    session.remember("chat restored", True)
    session.open_chat(chats.newest(session.chat()))


def name_in_address(chat: Chat) -> None:
    if not chat.turns:
        st.query_params.pop(ADDRESS, None)
    elif st.query_params.get(ADDRESS) != chat.id:
        st.query_params[ADDRESS] = chat.id


def saved_chats_popover() -> None:
    with st.popover("Chats", icon=":material/history:", key="chat:saved"), st.container(width=420, gap="small"):
        current = session.chat()
        if current.turns:
            _current(current)
        others = [chat for chat in saved_chats() if chat.id != current.id]
        _list(others)
        if broken := unreadable_chats():
            st.caption(f":orange[:material/warning:] Cannot be read: {plain(', '.join(broken[:5]))}")


def _current(chat: Chat) -> None:
    """Name, export and delete of the conversation on the page."""
    key = f"chat:name:{chat.id}"
    session.show_in(key, chat.title)  # which changes with its first question, or in another tab
    st.text_input("This conversation", max_chars=200, key=key, on_change=_rename, args=(chat, key))
    stem = "".join(sign if sign.isalnum() else "-" for sign in chat.title).strip("-")[:60] or "chat"
    with row():
        for label, text, ending in (("JSONL", as_jsonl, "jsonl"), ("Markdown", as_markdown, "md")):
            st.download_button(
                label,
                text(chat),
                file_name=f"{stem}.{ending}",
                mime="text/plain",
                icon=":material/download:",
                on_click="ignore",
                key=f"chat:export {ending}",
            )
        _delete_button(chat)


def _list(others: list[Chat]) -> None:
    if not others:
        st.caption("Conversations are saved as you write. The others will be listed here.")
        return
    wanted = st.text_input("Search", placeholder="Search in all of them", label_visibility="collapsed", key=SEARCH)
    found = [chat for chat in others if not wanted or chat.has(wanted.strip())]
    with st.container(height=300 if len(found) > 5 else "content", border=False, gap="xxsmall"):
        for chat in found[:MOST_SHOWN]:
            _line(chat)
    if len(found) > MOST_SHOWN:
        st.caption(f"and {len(found) - MOST_SHOWN:,} more; search to find them")
    if not found:
        st.caption("Nothing holds these words.")


def _line(chat: Chat) -> None:
    with st.container(gap=None):
        st.button(plain(chat.title), type="tertiary", key=f"chat:open:{chat.id}", on_click=_open, args=(chat,))
        who = ", ".join(chat.models[:2]) + ("…" if len(chat.models) > 2 else "")
        facts = (when(chat.changed), words.count(len(chat.turns), "turn"), who)
        st.caption(plain(" · ".join(fact for fact in facts if fact)))


def _delete_button(chat: Chat) -> None:
    with st.popover("Delete", icon=":material/delete:", type="tertiary", key="chat:delete"):
        st.markdown(f"**{plain(chat.title)}** goes, with {words.count(len(chat.turns), 'turn')}. Feedback given stays.")
        st.button(":red[Delete for good]", key="chat:delete yes", width="stretch", on_click=_delete, args=(chat,))


def _rename(chat: Chat, key: str) -> None:
    chat.name = (session.widget_value(key) or "").strip() or None
    chats.save(chat)


def _open(chat: Chat) -> None:
    """Go on with it, with the models and under the system prompt that it had."""
    session.open_chat(chats.opened(chat))
    compare_as_in(chat)
    give_system_prompt(chat.turns[-1].system)


def _delete(chat: Chat) -> None:
    chats.delete(chat)
    session.forget_chat()
    session.notify(f"{chat.title} is deleted.")
