"""What a space job is asked: which Space for which model, on what, for whom; and its start. No torch."""

import ast
import hashlib
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from huggingface_hub import RepoCard
from pydantic import Field

from core.errors import HubError, JobError
from core.hub.space_files import APP, NAMES, README
from core.jobs import launcher
from core.jobs.asked import beside, filled, read
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.recipe import Recipe
from core.recipe_sections import HubId, ModelSection, Section


class Space(Section):
    """One push of one Space."""

    space: HubId = Field(
        title="Space",
        description="Where it will be on the Hub, such as `you/support-bot-chat`.",
    )
    model: HubId = Field(
        title="Model",
        description="The published model it talks with, such as `you/support-bot`.",
    )
    hardware: Literal["cpu", "zero", "t4"] = Field(
        "cpu",
        title="Hardware",
        description="What it runs on: `cpu` to try it, `zero` for a GPU that is lent while it answers, `t4` for one of its "
        "own that is paid by the hour.",
    )
    private: bool = Field(
        True,
        title="Private",
        description="Only you, or your organisation, can open a new Space. One that is there already stays as visible as it is.",
    )
    secret: bool = Field(
        False,
        title="Give it my token",
        description="Your token goes into the Space as the secret HF_TOKEN. Nobody can look at it there, but whoever can change "
        "the Space's program can use it for all that it may do, writing too. Safer: make a fine-grained token that may only "
        "read this model, and set it by hand in the Space's settings.",
    )
    replace: dict[Literal["app.py", "requirements.txt", "README.md"], str] = Field(
        default_factory=dict,
        title="Replace",
        description="Files of the Space that may be replaced though somebody has changed them there: the name of each, and "
        "the SHA-256 of what stands there now.",
    )


def start(values: dict[str, Any], texts: dict[str, str], token: str | None = None) -> Job:
    """Push three files to a Space, in the background; the job. Raises StudioError with all that is wrong with them."""
    asked = filled(Space, values)
    if problems := problems_of(texts):
        raise HubError("\n".join(problems))
    return launcher.start(recipe_of(asked), "space", beside("space", asked) | texts, token)


def recipe_of(asked: Space) -> Recipe:
    """Every job has a recipe; this one's says what the job is called, and the model it is about."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", asked.space.partition("/")[2])
    return Recipe(name=name[:60], model=ModelSection(source=asked.model))


def problems_of(texts: dict[str, str]) -> list[str]:
    """What would keep the Space from starting, as far as it can be seen from here."""
    return [*_problems_of_app(texts[APP]), *_problems_of_readme(texts[README])]


def texts_of(job: Job) -> dict[str, str]:
    """The files that a space job pushes, by name; raises JobError where one is missing."""
    try:
        return {name: job.files.space_file(name).read_text(encoding="utf-8") for name in NAMES}
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(f"The job {job.id} is damaged: its files for the Space cannot be read.") from error


def found_changed(job: Job) -> dict[str, str]:
    """What a refused job found in the Space in place of its own files, where somebody had changed them."""
    found = {name: job.files.found_in_space(name) for name in NAMES}
    return {name: _text(path) for name, path in found.items() if path.is_file()}


def may_be_replaced(space: str) -> dict[str, str]:
    """For `replace`: what the newest push found changed in a Space, and nothing that was changed there since."""
    newest = next((job for job, _ in pushes_of(space=space)), None)
    return {name: digest(text) for name, text in found_changed(newest).items()} if newest else {}


def sent_to(space: str) -> dict[str, set[str]]:
    """All that was ever sent to a Space from here, by the name of the file; whether or not it arrived."""
    folders = [job.files for job, _ in pushes_of(space=space)]
    return {name: {_text(path) for files in folders if (path := files.space_file(name)).is_file()} for name in NAMES}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def pushes_of(model: str | None = None, space: str | None = None) -> list[tuple[Job, Space]]:
    """The space jobs for a model, or a Space, newest first; damaged ones are left out."""
    found = []
    for job in all_jobs("space"):
        try:
            asked = read(job, Space)
        except JobError:
            continue
        if model in (None, asked.model) and space in (None, asked.space):
            found.append((job, asked))
    return found


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _problems_of_app(text: str) -> list[str]:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        return [f"{APP} is no Python program: {line}{error.msg if isinstance(error, SyntaxError) else error}."]
    return []


def _problems_of_readme(text: str) -> list[str]:
    try:
        found = RepoCard(text).data.to_dict()
    except (ValueError, yaml.YAMLError) as error:
        return [f"The top of {README} cannot be read: {' '.join(str(error).split())[:300]}"]
    wanted = {"sdk": "gradio", "app_file": APP}
    wrong = [f"{name}: {value}" for name, value in wanted.items() if found.get(name) != value]
    return [f"The top of {README} must have the line{'s' * (len(wrong) > 1)} {' and '.join(wrong)}."] if wrong else []
