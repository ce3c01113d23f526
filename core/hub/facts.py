"""What a model card tells of a run: facts of its job folder and the catalog, none of them invented. No torch."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from core import catalog
from core.evaluation.asked import Evaluation
from core.evaluation.report import Findings
from core.evaluation.report import read as read_findings
from core.hub.names import hub_id
from core.hub.portable_recipe import pinned
from core.jobs.asked import read
from core.jobs.errand import errands_of
from core.jobs.folder import Job
from core.jobs.outcome import step_of
from core.jobs.status import Status
from core.models.begun import left_out_of
from core.models.left_out import LeftOut
from core.recipe import Recipe
from core.training.held_out_events import before_and_after, preference
from core.training.methods import METHODS, Method
from core.training.objectives import Objective
from core.where import Place, place_of

# A package is pinned by its SHA-256, a repository by its commit.
PACKAGE = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Licence:
    """A licence as the Hub names it; one that it has no name for is `other`, with a name and a link of its own."""

    id: str
    name: str | None = None
    link: str | None = None


@dataclass(frozen=True)
class Data:
    """A data set that was trained on, or held out."""

    name: str
    hub_id: str | None
    licence: str | None
    language: str | None
    held_out: bool


@dataclass(frozen=True)
class Facts:
    """About the weights of one step of a run. `licence_of_base` is used where the catalog does not know the base."""

    run: Job
    step: int | None = None  # as it was asked for: None is the run's result
    steps: int = 0  # how many were trained to get there; 0 where that is not known
    licence_of_base: Licence | None = None

    @classmethod
    def of(cls, run: Job, step: int | None = None, licence_of_base: Licence | None = None) -> "Facts":
        return cls(run, step, step_of(run, step), licence_of_base)

    @property
    def recipe(self) -> Recipe:
        return self.run.recipe

    @property
    def method(self) -> Method:
        return METHODS[self.recipe.lora.method]

    @property
    def objective(self) -> Objective:
        return self.recipe.objective

    @property
    def base(self) -> str | None:
        """The base model's Hub id; None for a folder of this machine."""
        return hub_id(self.recipe.model.source)

    @property
    def base_name(self) -> str:
        return self.base or Path(self.recipe.model.source).name

    @property
    def base_commit(self) -> str | None:
        return pinned(self.run.resolved)

    @property
    def base_is_requantised(self) -> bool:
        """Whether it is the starter out of a package: the same model with its weights rounded to four bits."""
        model = self.run.resolved.get("model")
        revision = str(model.get("revision")) if isinstance(model, dict) else ""
        return self.recipe.model.source == "starter" and PACKAGE.fullmatch(revision) is not None

    @property
    def left_out(self) -> LeftOut | None:
        """The layers that it is without."""
        return left_out_of(self.run)

    @property
    def optimizer(self) -> str:
        """What `auto` became, where the training wrote it down."""
        speed = self.run.resolved.get("speed")
        used = speed.get("optimizer") if isinstance(speed, dict) else None
        choice = used.get("choice") if isinstance(used, dict) else None
        return choice if isinstance(choice, str) else self.recipe.training.optimizer

    @property
    def licence(self) -> Licence | None:
        known = catalog.model(self.recipe.model.source)
        return Licence(known.licence) if known else self.licence_of_base

    @cached_property
    def data(self) -> list[Data]:
        return [_data(source.source, source.config, source.use == "held_out") for source in self.recipe.data.sources]

    @property
    def language(self) -> str | None:
        """The one language of all that was trained on, where the catalog knows it."""
        found = {data.language for data in self.data if not data.held_out}
        return found.pop() if len(found) == 1 else None

    @property
    def system_prompt(self) -> str | None:
        """The one that every conversation was trained with, if there is one."""
        return self.recipe.data.system_prompt

    @property
    def prepared(self) -> dict[str, Any]:
        """Rows and tokens that were trained on; empty where it is not known."""
        return next((event for event in reversed(self.run.events) if event["event"] == "prepared"), {})

    @property
    def held_out(self) -> dict[str, tuple[float, float]]:
        """Measured while training: of all held-out rows, then of each data set, the base's loss and that of these weights."""
        return before_and_after(self.run, self.step)

    @property
    def preference(self) -> str | None:
        """Measured while training, of pairs: a sentence about which answer it prefers."""
        return preference(self.run, self.step)

    @property
    def findings(self) -> Findings | None:
        """What the newest evaluation of these very weights found."""
        jobs = (job for job in errands_of(self.run, "evaluate") if job.status is Status.FINISHED)
        same = (job for job in jobs if step_of(self.run, read(job, Evaluation).step) == self.steps)
        return next((found for job in same if (found := read_findings(job.files))), None)


def _data(source: str, config: str | None, held_out: bool) -> Data:
    place, known = place_of(source), catalog.dataset(source)
    name = known.name if known else source if place is Place.HUB else Path(source).name
    task = known.tasks.get(config or "") if known else None
    return Data(
        f"{name}, {task.name if task else config}" if config else name,
        source if place is Place.HUB else None,
        (task.licence if task else None) or (known.licence if known else None),
        known.language if known else None,
        held_out,
    )
