"""Trainings of the toy model on pairs of answers, which lie among the uploads of a test's home."""

from pathlib import Path

from core import home
from core.recipe import Recipe
from tests import toy_pairs
from tests.toy_training import toy_recipe


def write_pairs(rows: int = 60) -> Path:
    """The file that the recipe names."""
    home.uploads_folder().mkdir(parents=True, exist_ok=True)
    return toy_pairs.write_pairs(home.uploads_folder(), toy_pairs.toy_pairs(rows))


def pairs_recipe(toy: Path, objective: str = "dpo", **sections) -> Recipe:
    """A few steps long; what differs is given section by section."""
    data = {"sources": [{"source": "uploads/pairs.jsonl"}], "max_length": 64, "eval_fraction": 0.2}
    training = {"objective": objective, "max_steps": 12, "learning_rate": 5e-3}
    asked = {"data": data | sections.get("data", {}), "training": training | sections.get("training", {})}
    return toy_recipe(toy, **sections | asked)
