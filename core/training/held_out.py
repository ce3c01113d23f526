"""The held-out loss while a model is trained: by supervised token, of all rows and of each data set's.

The same function as in an evaluation afterwards, so that the two can be compared.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import distributed

from core.evaluation.losses import row_losses
from core.training.model import base_of

if TYPE_CHECKING:
    from core.training.trainer import Trainer


def measure(trainer: "Trainer", after_batch: Callable[[], None]) -> tuple[float, dict[str, float]]:
    """The mean loss over all supervised tokens, and that of each data set by its name."""
    session, model = trainer.session, trainer.accelerator.unwrap_model(trainer.model)
    model.eval()
    # The number format of the training: the model is asked past the call that would set it.
    with trainer.accelerator.autocast():
        sums = _sums(trainer, model, after_batch)
    model.train()
    names = session.source_names
    of_each = {name: _mean(sums[number]) for number, name in enumerate(names) if sums[number, 1]}
    return _mean(sums.sum(0)), of_each if len(names) > 1 else {}


def _sums(trainer: "Trainer", model: torch.nn.Module, after_batch: Callable[[], None]) -> np.ndarray:
    """Losses and tokens of each data set, shape (sources, 2); every process of a training computes its share of the rows."""
    session, arguments = trainer.session, trainer.args
    mine = range(arguments.process_index, len(session.held_out), arguments.world_size)
    at_once = session.micro.batch
    found = row_losses(base_of(model), session.held_out.select(mine), at_once, lambda done: after_batch())
    # What is agreed on after a batch is agreed on by all, so all have as many.
    for _ in range(_batches(-(-len(session.held_out) // arguments.world_size), at_once) - _batches(len(mine), at_once)):
        after_batch()
    sums = np.zeros((len(session.source_names), 2))
    np.add.at(sums, np.array(session.held_out["source"])[list(mine)], found)
    if distributed.is_initialized():
        together = torch.tensor(sums, device=arguments.device, dtype=torch.float64)
        distributed.all_reduce(together)
        sums = together.cpu().numpy()
    return sums


def _batches(rows: int, at_once: int) -> int:
    return -(-rows // at_once)


def _mean(sums: np.ndarray) -> float:
    return float(sums[0] / sums[1]) if sums[1] else math.nan
