"""Chat: talk with a base model, a finished run, or any checkpoint."""

from studio.chat_view import chat_view, new_chat_button
from studio.layout import page_header
from studio.sampling_form import sampling_form

with page_header("Chat", "Talk with the base model, or with any checkpoint"):
    sampling, system = sampling_form()
    new_chat_button()

chat_view(sampling, system)
