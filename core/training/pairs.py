"""Pairs of answers in a batch: a row holds a chosen and a rejected conversation, which go through the model as two."""

from collections.abc import Callable
from typing import Any

import torch

Row = dict[str, Any]


def halves(row: Row) -> tuple[Row, Row]:
    """The chosen and the rejected conversation of a row, with `input_ids` and `labels` each; `second` is where the other begins."""
    first, second = slice(None, row["second"]), slice(row["second"], None)
    return tuple({name: row[name][part] for name in ("input_ids", "labels")} for part in (first, second))


class PairCollator:
    """Lays both conversations of each pair, the chosen one first, together as another collator does with any conversations."""

    def __init__(self, lay: Callable[[list[Row]], dict[str, Any]]):
        self.lay = lay

    def __call__(self, rows: list[Row]) -> dict[str, Any]:
        return self.lay([half for row in rows for half in halves(row)])


def owners(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Which conversation of a batch each token is of, shape (batch, seq): side by side each begins at position 0."""
    ids = inputs["input_ids"]
    if "position_ids" in inputs:
        return (inputs["position_ids"] == 0).cumsum(1) - 1
    return torch.arange(len(ids), device=ids.device)[:, None].expand_as(ids)


def conversations(inputs: dict[str, torch.Tensor]) -> int:
    """How many a batch holds."""
    return int(owners(inputs)[-1, -1]) + 1
