"""On a CPU, where layers are computed again: what each layer keeps for that lies apart from what comes and goes.

Each layer keeps its input until its turn comes backwards. Among all that is there for a moment, these blocks leave holes that
no later block fits into: half as much again as is needed, and another amount in every process, so that no plan is right.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import nn
from transformers import PretrainedConfig

from core.training.room import room

# What is smaller leaves no holes worth a copy.
LEAST_BYTES = 500_000
# Each begins at a multiple of this, whatever its numbers are.
ALIGNED_BYTES = 64


class Place(NamedTuple):
    """Where a tensor lies in the room."""

    begin: int
    bytes: int
    dtype: torch.dtype
    shape: torch.Size


class KeptInputs:
    """A room for the inputs of all layers of a batch, filled anew by each; as large as the largest needed.

    `of_a_token` is how many bytes they have of one token, as far as that is known before the first batch.
    """

    def __init__(self, of_a_token: int) -> None:
        self.of_a_token = of_a_token
        self.room = torch.empty(0, dtype=torch.uint8)
        self.used = 0

    @contextmanager
    def apart(self, tokens: int) -> Iterator[None]:
        """While a batch of so many tokens goes forwards; its way back has to be over before the next one comes."""
        needed = max(self.used, tokens * self.of_a_token)
        if needed > len(self.room):
            self.room = room(needed)
        self.used = 0
        with torch.autograd.graph.saved_tensors_hooks(self._keep, self._kept):
            yield

    def _keep(self, x: torch.Tensor) -> torch.Tensor | Place:
        """What depends on what is trained is copied into the room while there is some, and counted where there is none."""
        if not x.requires_grad or isinstance(x, nn.Parameter) or x.nbytes < LEAST_BYTES or not x.is_contiguous():
            return x
        place = Place(self.used, x.nbytes, x.dtype, x.shape)
        self.used += math.ceil(x.nbytes / ALIGNED_BYTES) * ALIGNED_BYTES
        if self.used > len(self.room):
            return x
        self._kept(place).copy_(x.detach())
        return place

    def _kept(self, kept: torch.Tensor | Place) -> torch.Tensor:
        if isinstance(kept, torch.Tensor):
            return kept
        return self.room[kept.begin : kept.begin + kept.bytes].view(kept.dtype).view(kept.shape)


def bytes_of_a_token(config: PretrainedConfig) -> int:
    """Of the inputs of all layers of a decoder, and of its last norm, in 32 bits."""
    decoder = config.get_text_config()
    return 4 * (decoder.num_hidden_layers + 1) * decoder.hidden_size
