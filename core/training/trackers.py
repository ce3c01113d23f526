"""Where else a training reports to: a line for each tracker, none of them needed, none of them installed with the studio. No torch."""

import netrc
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.jobs.folder import Job
    from core.recipe import Recipe

PROJECT = "fine-tuning-studio"
WANDB_HOST = "api.wandb.ai"


@dataclass(frozen=True)
class Tracker:
    """One tracker: its package, and why it cannot be used here and now though the package is there."""

    title: str
    package: str
    unready: Callable[[], str | None] = lambda: None


def _not_signed_in() -> str | None:
    """The worker has no terminal in which Weights & Biases could ask for the key, so it would end the run."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        return None
    try:
        known = netrc.netrc().authenticators(WANDB_HOST)
    except (OSError, netrc.NetrcParseError):
        known = None
    return None if known else "you are not signed in; run `wandb login` in a terminal, or set WANDB_MODE=offline"


TRACKERS = {
    "tensorboard": Tracker("TensorBoard", "tensorboard"),
    "wandb": Tracker("Weights & Biases", "wandb", _not_signed_in),
    "trackio": Tracker("Trackio", "trackio"),
}


def problems(recipe: "Recipe") -> list[str]:
    """Why the recipe's trackers cannot be used on this machine, a sentence each."""
    found = []
    for name in recipe.training.trackers:
        tracker = TRACKERS[name]
        if find_spec(tracker.package) is None:
            found.append(
                f"training.trackers: {tracker.title} is not installed. Install it with `pip install {tracker.package}`, or "
                "take it out of the list."
            )
        elif why := tracker.unready():
            found.append(f"training.trackers: {tracker.title} cannot be used: {why}.")
    return found


def settings(job: "Job") -> dict[str, Any]:
    """The trainer's settings for the recipe's trackers. Their files go into the job's folder; what is set already stays."""
    asked = job.recipe.training.trackers
    if not asked:
        return {"report_to": []}
    _default("TENSORBOARD_LOGGING_DIR", job.files.tensorboard)
    _default("WANDB_DIR", job.folder)
    _default("WANDB_PROJECT", PROJECT)
    # A resumed run goes on with its own curve.
    _default("WANDB_RUN_ID", job.id)
    _default("WANDB_RESUME", "allow")
    own = {"project": PROJECT, "trackio_static_space_id": False} if "trackio" in asked else {}
    return {"report_to": list(asked), "run_name": job.id} | own


def _default(name: str, value: str | Path) -> None:
    os.environ.setdefault(name, str(value))
