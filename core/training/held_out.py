"""The held-out loss while a model is trained: by supervised token, or by pair, of all rows and of each data set's.

The same function as in an evaluation afterwards, so that the two can be compared.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from datasets import Dataset
from torch import distributed

from core.evaluation.losses import row_losses
from core.training.model import base_of

if TYPE_CHECKING:
    from core.training.trainer import Trainer


@dataclass(frozen=True)
class Measured:
    """The mean loss over all supervised tokens, or over pairs, and that of each data set by its name.

    `preferred` is the share of pairs of which the chosen answer is preferred, `answers` the mean loss over the tokens of those
    answers; None where no pairs are learned from.
    """

    loss: float
    of_each: dict[str, float]
    preferred: float | None = None
    answers: float | None = None


def measure(trainer: "Trainer", after_batch: Callable[[], None]) -> Measured:
    """Measure all held-out rows."""
    session, model = trainer.session, trainer.accelerator.unwrap_model(trainer.model)
    model.eval()
    # The number format of the training: the model is asked past the call that would set it.
    with trainer.accelerator.autocast():
        sums = _sums(trainer, model, after_batch)
    model.train()
    names = session.source_names
    of_each = {name: _mean(sums[number]) for number, name in enumerate(names) if sums[number, 1]}
    together = sums.sum(0)
    of_pairs = (_mean(together[[2, 1]]), _mean(together[[3, 4]])) if trainer.preferences and together[1] else ()
    return Measured(_mean(together), of_each if len(names) > 1 else {}, *of_pairs)


def _sums(trainer: "Trainer", model: torch.nn.Module, after_batch: Callable[[], None]) -> np.ndarray:
    """What was found of each data set, shape (sources, columns); every process of a training computes its share of the rows."""
    session, arguments = trainer.session, trainer.args
    mine = range(arguments.process_index, len(session.held_out), arguments.world_size)
    passes = trainer.preferences.passes if trainer.preferences else 1
    found = _of_rows(trainer, model, session.held_out.select(mine), after_batch)
    # What is agreed on after a batch is agreed on by all, so all have as many.
    at_once, most = session.micro.batch, -(-len(session.held_out) // arguments.world_size)
    for _ in range(passes * (_batches(most, at_once) - _batches(len(mine), at_once))):
        after_batch()
    sums = np.zeros((len(session.source_names), found.shape[1]))
    np.add.at(sums, np.array(session.held_out["source"])[list(mine)], found)
    if distributed.is_initialized():
        together = torch.tensor(sums, device=arguments.device, dtype=torch.float64)
        distributed.all_reduce(together)
        sums = together.cpu().numpy()
    return sums


def _of_rows(trainer: "Trainer", model: torch.nn.Module, rows: Dataset, after_batch: Callable[[], None]) -> np.ndarray:
    """Losses and what they are the sum of, tokens or pairs, (rows, 2); of pairs also what they say of the chosen answer, (rows, 5)."""
    if trainer.preferences:
        return trainer.preferences.held_out(rows, after_batch)
    return row_losses(base_of(model), rows, trainer.session.micro.batch, lambda done: after_batch())


def _batches(rows: int, at_once: int) -> int:
    return -(-rows // at_once)


def _mean(sums: np.ndarray) -> float:
    return float(sums[0] / sums[1]) if sums[1] else math.nan
