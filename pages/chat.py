"""Chat: talk with a base model, a finished run, or any checkpoint; or let up to four of them answer side by side."""

from studio.chat_compare import compare_switches, panes_shown
from studio.chat_elsewhere import use_elsewhere
from studio.chat_memory import room_of
from studio.chat_saved import restore_chat, saved_chats_popover
from studio.chat_view import chat_view, new_chat_button
from studio.chat_vote import tallies
from studio.layout import page_header
from studio.sampling_form import sampling_form

restore_chat()
with page_header("Chat", "Ask the base model, or any checkpoint"):
    compare_switches()
    panes = panes_shown()
    if panes.several:
        tallies()
    use_elsewhere(panes.models[0])
    room = room_of(panes.models)
    sampling = sampling_form(room)
    saved_chats_popover()
    new_chat_button()

chat_view(sampling, panes, room)
