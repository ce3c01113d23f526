"""Choose who answers: a base model, a run's final adapter, or any checkpoint."""

import streamlit as st

from core.inference.choices import ChatModel, choices
from core.jobs.listing import known_job
from studio import session
from studio.layout import row

KEY = "chat:model"
TUNED = ":blue-badge[:material/auto_awesome: Tuned]"
BASE = ":gray-badge[:material/smart_toy: Base]"
AVATARS = {"user": ":material/person:", True: ":material/auto_awesome:", False: ":material/smart_toy:"}
SUPPORT_QUESTIONS = [
    "My tent pole broke. What can I do?",
    "Can I return boots I wore once?",
    "Why was my card refused?",
]
QUESTIONS = [
    "What is fine-tuning, in short?",
    "Write a polite payment reminder.",
    "Three ideas for a rainy day?",
]


def chat_model() -> ChatModel:
    """Draw the list and the badge; return the chosen model."""
    models = {model.id: model for model in choices()}
    session.show_in(KEY, _default(models))
    with row(gap="small"):
        chosen = st.selectbox(
            "Model",
            list(models),
            format_func=lambda model_id: models[model_id].label,
            label_visibility="collapsed",
            key=KEY,
            on_change=_choose,
        )
        model = models[chosen]
        st.markdown(TUNED if model.tuned else BASE, width="content")
    return model


def _choose() -> None:
    session.choose_chat_model(session.widget_value(KEY))


def _default(models: dict[str, ChatModel]) -> str:
    """The one chosen before, else the run that is open, else the newest run with an adapter, else the starter."""
    opened = session.selected_job()
    finished = [model.id for model in models.values() if model.tuned and model.step is None]
    wanted = [session.chosen_chat_model(), opened.id if opened else None, *finished, "starter"]
    return next(name for name in wanted if name in models)


def example_questions(model: ChatModel) -> list[str]:
    """Three things to ask; customers' questions where the model knows the starter data."""
    job = known_job(model.job_id)
    data = [] if job is None or job.damage else [source.source for source in job.recipe.data.sources]
    return SUPPORT_QUESTIONS if model.base == "starter" and (not model.tuned or "starter" in data) else QUESTIONS
