"""Chat templates for base models, which have none: plain words that need no new tokens. Torch never.

Each one keeps what it has written, ends every answer with the tokenizer's end of text, and knows no tools. A template of
another name is one more file in `templates/` and one more line here.
"""

from dataclasses import dataclass
from pathlib import Path

from jinja2 import TemplateError

from core import catalog
from core.errors import ModelError
from core.files import read_json
from core.where import Place, local_path, place_of

FOLDER = Path(__file__).with_suffix("")

# What a template raises for a conversation it cannot write: its own refusals, and what Python says of what it computes.
REFUSALS = (TemplateError, TypeError, LookupError, ValueError, ArithmeticError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Named:
    """A template of the studio's, as a person chooses it."""

    title: str
    description: str


TEMPLATES: dict[str, Named] = {
    "plain": Named("Plain", "`User: …` and `Assistant: …`, as a person would write it down. A safe choice."),
    "alpaca": Named("Alpaca", "`### Instruction:` and `### Response:`, for one task and one answer."),
}


def template_text(name_or_jinja: str, begins_with_bos: bool = False) -> str:
    """The Jinja text of a template: of ours by its name, or what was given; raises ModelError.

    Ours write the beginning-of-text token only if asked, for many tokenizers have one that their model has never seen.
    """
    if name_or_jinja in TEMPLATES:
        text = (FOLDER / f"{name_or_jinja}.jinja").read_text(encoding="utf-8").rstrip("\n")
        return "{{- bos_token -}}\n" + text if begins_with_bos else text
    if "{" not in name_or_jinja:
        raise ModelError(
            f"model.chat_template: {name_or_jinja!r} is neither Jinja text nor one of {', '.join(TEMPLATES)}."
        )
    return name_or_jinja


def has_own_template(source: str) -> bool | None:
    """Whether a model comes with a chat template; None where that is not known before it is fetched."""
    if known := catalog.model(source):
        return known.instruct
    return _in_folder(local_path(source)) if place_of(source) is Place.LOCAL else None


def _in_folder(folder: Path) -> bool | None:
    """As transformers looks for it: a file of its own, or a line in the tokenizer's configuration."""
    if (folder / "chat_template.jinja").exists():
        return True
    config = read_json(folder / "tokenizer_config.json")
    return bool(config.get("chat_template")) if config is not None else None
