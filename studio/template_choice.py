"""Which chat template a model is taught with: base models have none of their own, so one of ours is chosen for them."""

from core.models.templates import TEMPLATES, has_own_template
from studio import recipe_form, session

PATH = "model.chat_template"
FIRST = next(iter(TEMPLATES))
WITHOUT = {True: "The model's own", False: "None yet", None: "The model's own, if it has one"}


def template_for(source: str, current: str | None) -> str | None:
    """The template a newly chosen model begins with: one of ours where it has none; a person's own text stays."""
    if current and current not in TEMPLATES:
        return current
    return (current or FIRST) if has_own_template(source) is False else None


def template_choice(source: str) -> None:
    """The templates to choose from, where the chosen model may have none or the recipe gives another."""
    own, current = has_own_template(source), session.draft().model.chat_template
    if own and current is None:
        return
    names = {name: template.title for name, template in TEMPLATES.items()} | {"": WITHOUT[own]}
    if current and current not in names:
        names[current] = "Your own Jinja text"
    recipe_form.select(PATH, names, list(names))
