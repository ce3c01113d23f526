"""The three files of a chat Space: its program, what it needs installed, and the page that tells the Hub how to run it."""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from huggingface_hub import SpaceCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from core.hub.space_hardware import HARDWARE
from core.inference.client import Sampling

TEMPLATES = Path(__file__).with_name("space_templates")
APP, REQUIREMENTS, README = "app.py", "requirements.txt", "README.md"
NAMES = (APP, REQUIREMENTS, README)

# Neither is installed here: gradio wants an older pillow than the studio. A test makes the two of them run.
GRADIO, SPACES = "6.31.0", "0.51.3"
# transformers needs 3.11, and a Space that names none gets 3.10.
PYTHON = "3.12"
# With the versions that are installed here: what answers here answers there.
AS_HERE = ("accelerate", "huggingface_hub", "torch", "transformers")


@dataclass(frozen=True)
class Shown:
    """A model on the Hub, as a Space shows it.

    `base` is None for a whole model, else what the adapter is put on. `tokenizer` is the repository that has one.
    """

    id: str
    base: str | None = None
    base_revision: str | None = None
    tokenizer: str = ""
    licence: str | None = None
    system_prompt: str = ""
    why_token: str = ""  # why the Space needs a token to read it: a part of a sentence; empty where it needs none


def files(shown: Shown, title: str, hardware: str) -> dict[str, str]:
    """The text of each file, by its name."""
    facts = {"shown": shown, "title": title, "sampling": Sampling(), "about": _about(shown)}
    return {
        APP: _template("app.py.jinja").render(facts),
        REQUIREMENTS: _requirements(shown),
        README: _template("README.md.jinja").render(facts, metadata=_metadata(shown, title, hardware)),
    }


def _requirements(shown: Shown) -> str:
    names = sorted([*AS_HERE, *(["peft"] if shown.base else [])])
    # A build of torch is named after a +, which only its own index knows.
    pinned = [f"{name}=={version(name).split('+')[0]}" for name in names]
    return "\n".join([*pinned, f"spaces=={SPACES}", ""])


def _metadata(shown: Shown, title: str, hardware: str) -> str:
    return SpaceCardData(
        title=title,
        emoji="💬",
        colorFrom="indigo",
        colorTo="blue",
        sdk="gradio",
        sdk_version=GRADIO,
        python_version=PYTHON,
        app_file=APP,
        suggested_hardware=HARDWARE[hardware].flavor,
        license=shown.licence,
        models=[shown.id, *([shown.base] if shown.base else [])],
        tags=["fine-tuning-studio"],
    ).to_yaml()


def _about(shown: Shown) -> str:
    on = f", a LoRA adapter on {shown.base}" if shown.base else ""
    return f"Answers come from {shown.id}{on}. It may be wrong: check what matters."


@cache
def _template(name: str) -> Template:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    found.filters["python"] = _python
    return found.get_template(name)


def _python(value: Any) -> str:
    """A value as Python writes it, with double quotes where that needs no escape."""
    written = repr(value)
    plain = isinstance(value, str) and written == f"'{value}'" and '"' not in value
    return f'"{value}"' if plain else written
