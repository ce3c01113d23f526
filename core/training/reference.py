"""The model as it was at the start: what a training on preferences is to stay near.

Only what is trained has changed since, so the first weights of that are kept, and put in place for a moment. That holds for
every adapter, for one that goes on from an earlier run, and for a model that is trained whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from core import home


class Reference:
    """The first weights of what is trained."""

    def __init__(self, model: torch.nn.Module, checkpoint: Path | None = None):
        """Those that the model has now; where a checkpoint brings some along, those."""
        self.model = model
        # Looked for once, as the noisy ones are: to go through all modules of a model takes as long as some of its layers do.
        self.trained = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
        self.first = {name: weights.detach().clone() for name, weights in self.trained.items()}
        if checkpoint and home.reference_file(checkpoint).is_file():
            saved = load_file(home.reference_file(checkpoint))
            self.first = {name: saved[name].to(weights.device) for name, weights in self.first.items()}

    def save(self, checkpoint: Path) -> None:
        save_file(self.first, home.reference_file(checkpoint))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model as it was, without dropout, noise and gradients; afterwards it is what it was before, whatever happens.

        All else stays in training: layers in 8 bits multiply otherwise where they only answer.
        """
        now = {name: weights.data for name, weights in self.trained.items()}
        noisy = [module for module in self._noisy if module.training]
        self._put(self.first)
        _train(noisy, False)
        try:
            with torch.no_grad():
                yield
        finally:
            self._put(now)
            _train(noisy, True)

    @cached_property
    def _noisy(self) -> list[torch.nn.Module]:
        """What draws random numbers in training: dropout, and the embedding with NEFTune, which it has once it begins."""
        found = self.model.modules()
        return [one for one in found if isinstance(one, torch.nn.Dropout) or hasattr(one, "neftune_noise_alpha")]

    def _put(self, data: dict[str, torch.Tensor]) -> None:
        for name, weights in self.trained.items():
            weights.data = data[name]
        # Short copies of the others may be kept there.
        torch.clear_autocast_cache()


def _train(modules: list[torch.nn.Module], learns: bool) -> None:
    for module in modules:
        module.train(learns)
