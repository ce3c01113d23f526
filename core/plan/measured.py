"""What probes and finished runs have measured on this machine, remembered for the next plan. No torch."""

import functools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from core import home
from core.errors import RecipeError
from core.files import append_line
from core.plan.workload import Batch
from core.recipe import Recipe, parse

# The newest lines that are looked at.
REMEMBERED = 300


@dataclass(frozen=True)
class Measurement:
    """Memory and speed of one training; `recipe` has the batch and recomputing that it really had.

    `largest` is its largest batch, `usual` the mean of those that were timed; `step_s` is a step's mean without the first two.
    One that did not fit has for its peak all that there was, and no time.
    """

    source: Literal["probe", "run", "run that did not fit"]
    job: str
    time: float
    device: str
    precision: str
    recipe: Recipe
    largest: Batch
    usual: Batch
    peak_bytes: int
    step_s: float | None


def keep(found: Measurement) -> None:
    """Remember it; the data's own settings and names are nobody's business here."""
    row = asdict(found) | {"recipe": _manner(found.recipe)}
    home.home().mkdir(parents=True, exist_ok=True)
    append_line(home.measured_file(), row)


def measurements(device: str, model: str) -> list[Measurement]:
    """Those of a device and a model, newest first; lines that this version cannot read are passed over."""
    path = home.measured_file()
    return list(_measurements(path, path.stat().st_mtime_ns, device, model)) if path.exists() else []


@functools.lru_cache(maxsize=32)
def _measurements(path: Path, changed_ns: int, device: str, model: str) -> tuple[Measurement, ...]:
    """Read again when the file has changed: a page asks on every run."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-REMEMBERED:]
    rows = [row for line in reversed(lines) if (row := _row(line))]
    mine = (row for row in rows if row.get("device") == device and _model(row) == model)
    return tuple(found for row in mine if (found := _measurement(row)))


def _manner(recipe: Recipe) -> dict[str, Any]:
    """The settings that memory and time follow from."""
    values = recipe.model_dump(mode="json", include={"model", "lora", "training", "launcher"})
    values["model"] = recipe.model.model_dump(include={"source", "revision", "drop_layers"})
    return values | {"data": {"max_length": recipe.data.max_length, "packing": recipe.data.packing}}


def _model(row: dict[str, Any]) -> Any:
    recipe = row.get("recipe")
    return recipe.get("model", {}).get("source") if isinstance(recipe, dict) else None


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _measurement(row: dict[str, Any]) -> Measurement | None:
    try:
        batches = {name: Batch(**row[name]) for name in ("largest", "usual")}
        found = Measurement(**row | batches | {"recipe": parse(row["recipe"])})
        numbers = [
            found.peak_bytes,
            1 if found.step_s is None else found.step_s,
            *vars(found.largest).values(),
            *vars(found.usual).values(),
        ]
        return found if all(math.isfinite(number) and number > 0 for number in numbers) else None
    except (KeyError, TypeError, RecipeError):
        return None
