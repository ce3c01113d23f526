"""The models and data sets the studio knows by name: read from catalog.yaml once, so that plans need no network."""

import functools
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from core.presets import Dataset

MemoryClass = Literal["starter", "small", "medium", "large"]


class Model(BaseModel):
    """A base model and its shape, as its config.json on the Hub gives it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(description="Hub id, or `starter` for the one that needs no Hub")
    name: str
    organisation: str
    parameters: PositiveInt = Field(description="a tied embedding counts once")
    context: PositiveInt = Field(description="longest sequence, in tokens")
    licence: str = Field(description="as the Hub names it")
    gated: bool = False
    mirror: str | None = Field(None, description="Hub id of the same weights without a gate")
    instruct: bool = Field(description="tuned to follow instructions, with a chat template")
    hidden_size: PositiveInt
    layers: PositiveInt
    intermediate_size: PositiveInt
    heads: PositiveInt
    kv_heads: PositiveInt
    head_dim: PositiveInt
    vocab_size: PositiveInt
    tied_embeddings: bool = Field(True, description="the output layer is the embedding itself")

    @property
    def memory_class(self) -> MemoryClass:
        """The group a person looks in first: under 0.5, 2 and 5 billion parameters, or more."""
        limits = {"starter": 0.5e9, "small": 2e9, "medium": 5e9}
        return next((name for name, limit in limits.items() if self.parameters < limit), "large")

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """The seven linear maps of one layer, as (inputs, outputs): what `all-linear` means for LoRA."""
        hidden, inner = self.hidden_size, self.intermediate_size
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": (hidden, queries),
            "k_proj": (hidden, keys),
            "v_proj": (hidden, keys),
            "o_proj": (queries, hidden),
            "gate_proj": (hidden, inner),
            "up_proj": (hidden, inner),
            "down_proj": (inner, hidden),
        }

    @property
    def linear_parameters(self) -> int:
        """Weights inside the projections of all layers; the rest are embeddings, output layer and norms."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.projections.values())

    def weights_bytes(self, bits: int = 16) -> int:
        """Bytes of the loaded weights, without quantisation constants (0.13 bit a weight, QLoRA, arXiv:2305.14314).

        Below 16 bits only the projections shrink: bitsandbytes leaves embeddings, output layer and norms at 16.
        """
        if bits >= 16:
            return self.parameters * bits // 8
        return self.linear_parameters * bits // 8 + (self.parameters - self.linear_parameters) * 2


class _Catalog(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    shapes: list[dict]  # only the anchors that the models below it merge in
    models: list[Model]
    datasets: list[Dataset]


@functools.cache
def _catalog() -> _Catalog:
    return _Catalog.model_validate(yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")))


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
