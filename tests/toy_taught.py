"""A finished run of a toy model that has learned one answer, as a training on a model of the Hub would have left it."""

import json
from pathlib import Path

import yaml

from core import home
from core.files import write_whole
from core.jobs.folder import Job
from core.recipe_yaml import from_yaml, to_yaml
from tests.toy_training import new_folder, toy_recipe, train

WORDS = "the answer and the question"
QUESTIONS = ("Hi", "Question?", "the answer", "Who are you?", "What is a good way?", "Hello, who are you?")


def make_taught(model: Path, hub_id: str | None, commit: str | None = None, name: str = "taught", **sections) -> Job:
    """A run in `$STUDIO_HOME`, with checkpoints of steps 20 and 40; `hub_id` is what the model is called from then on."""
    lesson = home.uploads_folder() / "lesson.jsonl"
    rows = [{"messages": [_turn("user", question), _turn("assistant", WORDS)]} for question in QUESTIONS * 4]
    write_whole(lesson, "\n".join(map(json.dumps, rows)))
    lora = {"rank": 8, "alpha": 16, "dropout": 0.0} | sections.pop("lora", {})
    recipe = toy_recipe(
        model,
        lora={} if lora.get("method") == "full" else lora,
        data={
            "sources": [{"source": str(lesson)}],
            "cleaning": {"exact_duplicates": False, "leaks": False},
            "eval_fraction": 0.2,
        },
        training={"max_steps": 40, "learning_rate": 2e-2, "eval_every": 20, "batch": 4, "accumulation": 1}
        | sections.pop("training", {}),
        checkpoints={"every_steps": 20},
    )
    if lora.get("method") == "full":
        recipe = recipe.model_copy(update={"lora": recipe.lora.model_copy(update={"method": "full"})})
    run = train(new_folder(recipe.model_copy(update={"name": name}), f"20260101-000000-{name}"))
    if hub_id:
        _rename_the_model(run, hub_id, commit)
    return Job(run.folder)


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _rename_the_model(run: Job, hub_id: str, commit: str | None) -> None:
    recipe = from_yaml(run.files.recipe.read_text())
    named = recipe.model.model_copy(update={"source": hub_id})
    write_whole(run.files.recipe, to_yaml(recipe.model_copy(update={"model": named})))
    resolved = run.resolved | {"model": {"source": hub_id, "revision": commit}}
    write_whole(run.files.resolved, yaml.safe_dump(resolved, sort_keys=False))
