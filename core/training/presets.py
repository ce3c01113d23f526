"""Presets: a few settings that go together, with the reason, by key path. Each names all that any of them sets."""

from dataclasses import dataclass
from typing import Any

from core.recipe import Recipe, value_at


@dataclass(frozen=True)
class Preset:
    """A name, what it is for in a sentence, and the settings that differ from the defaults."""

    name: str
    reason: str
    changes: dict[str, Any]

    @property
    def values(self) -> dict[str, Any]:
        """Key path -> value, the defaults of what only other presets change included: none leaves a trace in the next."""
        paths = dict.fromkeys(path for preset in PRESETS for path in preset.changes)
        return {path: default(path) for path in paths} | self.changes


PRESETS = (
    Preset(
        "Quick look",
        "Thirty steps of a small adapter at a high rate: shows in minutes whether the data teaches anything.",
        {"lora.rank": 8, "lora.alpha": 16, "training.learning_rate": 5e-4, "training.max_steps": 30},
    ),
    Preset("Balanced", "The defaults: one pass over the data at rank 16, right for most data sets.", {}),
    Preset(
        "Best quality",
        "A large adapter, scaled for its rank, sees the data three times at a low rate; the best moment is kept, and it ends "
        "once the held-out loss rises.",
        {
            "lora.method": "rslora",
            "lora.rank": 64,
            "lora.alpha": 64,
            "training.learning_rate": 1e-4,
            "training.epochs": 3.0,
            "training.early_stopping": 4,
            "training.load_best": True,
        },
    ),
    Preset(
        "Fits a T4",
        "The base model in 4 bits, one conversation at a time, the optimiser in 8 bits: models of 7 to 8 billion weights "
        "within 16 GB, slower.",
        {
            "lora.method": "qlora",
            "training.batch": 1,
            "training.accumulation": 16,
            "training.activation_checkpointing": "on",
            "training.optimizer": "adamw_8bit",
        },
    ),
)


def default(path: str) -> Any:
    """The recipe's own default of a key path."""
    return value_at(Recipe(), path)


def chosen(recipe: Recipe) -> Preset | None:
    """The preset whose every setting the recipe has."""
    return next((p for p in PRESETS if all(value_at(recipe, path) == value for path, value in p.values.items())), None)


def changes(recipe: Recipe, preset: Preset) -> dict[str, tuple[Any, Any]]:
    """Key path -> (value now, the preset's) for every field that it would change."""
    pairs = {path: (value_at(recipe, path), value) for path, value in preset.values.items()}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}
