"""The models and data sets the studio knows by name: read from catalog.yaml once, so that plans need no network."""

import functools
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from core.models.shape import Shape
from core.plain_yaml import FAST
from core.presets import Dataset

MemoryClass = Literal["starter", "small", "medium", "large"]


class Model(Shape):
    """A base model and its shape, as its config.json on the Hub gives it."""

    source: str = Field(description="Hub id, or `starter` for the one that needs no Hub")
    name: str
    organisation: str
    licence: str = Field(description="as the Hub names it")
    gated: bool = False
    mirror: str | None = Field(None, description="Hub id of the same weights without a gate")
    instruct: bool = Field(description="tuned to follow instructions, with a chat template")

    @property
    def memory_class(self) -> MemoryClass:
        """The group a person looks in first: under 0.5, 2 and 5 billion parameters, or more."""
        limits = {"starter": 0.5e9, "small": 2e9, "medium": 5e9}
        return next((name for name, limit in limits.items() if self.parameters < limit), "large")


class _Catalog(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    shapes: list[dict]  # only the anchors that the models below it merge in
    models: list[Model]
    datasets: list[Dataset]


@functools.cache
def _catalog() -> _Catalog:
    return _Catalog.model_validate(yaml.load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"), FAST))


def models() -> list[Model]:
    """All known models, smallest first, beginning with `starter`."""
    return list(_catalog().models)


def datasets() -> list[Dataset]:
    """All known data sets, beginning with `starter`."""
    return list(_catalog().datasets)


def model(source: str) -> Model | None:
    """The known model of this Hub id, its own or its mirror's; None for any other model."""
    return next((known for known in _catalog().models if source in (known.source, known.mirror)), None)


def dataset(source: str) -> Dataset | None:
    """The known data set of this Hub id; None for any other."""
    return next((known for known in _catalog().datasets if known.source == source), None)
