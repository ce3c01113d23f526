"""A training on pairs of answers: what the trainer does otherwise, from the loss of a batch to the held-out pairs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset
from torch import distributed

from core.evaluation.losses import row_losses
from core.training import likelihood
from core.training.model import base_of
from core.training.pairs import halves
from core.training.preference import LOSSES, Judged, Likelihoods
from core.training.reference import Reference

if TYPE_CHECKING:
    from core.training.trainer import Trainer


class Preferences:
    """The loss over pairs, and the model as it was at the start where the objective stays near it."""

    def __init__(self, trainer: "Trainer"):
        recipe, begun = trainer.session.job.recipe, trainer.session.point.checkpoint
        self.trainer, self.name, self.beta = trainer, recipe.training.objective, recipe.training.beta
        # What it goes on from may be gone on another machine; whatever else it begins with is made again there.
        self.saved = bool(recipe.model.start_from)
        model = trainer.accelerator.unwrap_model(trainer.model)
        self.reference = Reference(model, begun.folder if begun else None) if recipe.objective.reference else None
        self._held_out_before: Likelihoods | None = None

    def loss(self, model: Any, inputs: dict[str, Any], pairs: int) -> torch.Tensor:
        """Mean over the pairs of a step, of which this batch has some; `pairs` is how many the step has."""
        before = None
        if self.reference:
            with self.reference.in_place():
                before = self._likelihoods(base_of(self.reference.model), inputs)
        with self.trainer.keeping(inputs):
            now = self._likelihoods(model, inputs)
            found = self._judged(now, before)
        self.trainer.reporter.saw(*_together(_seen(now, found)))
        # As TRL calls it, for who looks at it in a tracker.
        self.trainer._metrics["train"]["rewards/accuracies"].append(found.preferred.mean().item())
        return found.losses.sum() / pairs

    def held_out(self, rows: Dataset, after_batch: Callable[[], None]) -> np.ndarray:
        """Of each held-out pair its loss, 1, whether the chosen answer is preferred, that answer's loss, its tokens, shape (rows, 5)."""
        if self.passes > 1:
            with self.reference.in_place():
                self._held_out_before = self._measured(rows, after_batch)
        now = self._measured(rows, after_batch)
        found = self._judged(now, self._held_out_before)
        chosen = -now.sums[0::2], now.tokens[0::2]
        return torch.stack([found.losses, torch.ones_like(found.losses), found.preferred, *chosen], dim=1).numpy()

    @property
    def passes(self) -> int:
        """How often the held-out pairs go through the model when they are measured next: the first time also as it was."""
        return 2 if self.reference and self._held_out_before is None else 1

    def save(self, checkpoint: Path) -> None:
        """What a resume on another machine could not make again."""
        if self.reference and self.saved:
            self.reference.save(checkpoint)

    def _judged(self, now: Likelihoods, before: Likelihoods | None) -> Judged:
        return LOSSES[self.name](now, before, self.beta)

    def _likelihoods(self, model: Any, inputs: dict[str, Any]) -> Likelihoods:
        # The number format of the training: the model is asked past the call that would set it.
        with self.trainer.accelerator.autocast():
            if not self.trainer.speed.at_labels:
                return likelihood.at_every_position(model, inputs)
            return likelihood.at_labels(base_of(self.trainer.accelerator.unwrap_model(model)), inputs)

    def _measured(self, rows: Dataset, after_batch: Callable[[], None]) -> Likelihoods:
        """By the very function that measures every held-out row."""
        trainer = self.trainer
        base = base_of(trainer.accelerator.unwrap_model(trainer.model))
        both = [half for row in rows for half in halves(row)]
        found = torch.from_numpy(row_losses(base, both, 2 * trainer.session.micro.batch, lambda done: after_batch()))
        return Likelihoods(-found[:, 0], found[:, 1])


def _seen(now: Likelihoods, found: Judged) -> torch.Tensor:
    """Pairs whose chosen answer is preferred, pairs, loss of the chosen answers, their tokens, (4,)."""
    chosen = -now.sums[0::2].detach().sum(), now.tokens[0::2].sum()
    counted = found.preferred.new_tensor(len(found.preferred))
    return torch.stack([found.preferred.sum(), counted, *(one.to(counted.dtype) for one in chosen)])


def _together(sums: torch.Tensor) -> list[float]:
    """The same of all processes of a training."""
    if distributed.is_initialized():
        distributed.all_reduce(sums)
    return sums.tolist()
