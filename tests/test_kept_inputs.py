"""Inputs of layers that are computed again lie in a room of their own, and what is learned is the same to the last bit."""

import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from core.training.kept_inputs import LEAST_BYTES, KeptInputs

WIDE = 64
# As many as are just worth a place.
TOKENS = math.ceil(LEAST_BYTES / (4 * WIDE))


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return nn.ModuleList(nn.Sequential(nn.Linear(WIDE, WIDE), nn.Dropout(0.1), nn.SiLU()) for _ in range(4))


def learned(layers: nn.ModuleList, tokens: int, kept: KeptInputs | None = None) -> list[torch.Tensor]:
    """The loss of one batch and every gradient, the batch's own included."""
    layers.zero_grad()
    torch.manual_seed(tokens)
    x = torch.randn(tokens, WIDE, requires_grad=True)
    with kept.apart(tokens) if kept else nullcontext():
        hidden = x
        for layer in layers:
            hidden = hidden + checkpoint(layer, hidden, use_reentrant=False)
        loss = hidden.square().mean()
    loss.backward()
    return [loss.detach(), x.grad, *(weights.grad.clone() for weights in layers.parameters())]


def test_batch_after_batch_of_any_size_is_learned_as_without_it(layers):
    kept = KeptInputs(0)
    for tokens in (2 * TOKENS, 2 * TOKENS, 5 * TOKENS, TOKENS, TOKENS // 9, 5 * TOKENS, 3 * TOKENS):
        expected, found = learned(layers, tokens), learned(layers, tokens, kept)
        assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))


def test_the_room_is_as_large_as_the_largest_batch_needs_and_holds_its_inputs(layers):
    kept = KeptInputs(0)
    of_a_tensor = 2 * TOKENS * WIDE * 4
    learned(layers, 2 * TOKENS, kept)
    assert len(kept.room) == 0 and kept.used >= 4 * of_a_tensor
    needed = kept.used
    learned(layers, 2 * TOKENS, kept)
    learned(layers, TOKENS, kept)
    assert len(kept.room) == needed and kept.used == pytest.approx(needed / 2, rel=1e-3)
    learned(layers, 2 * TOKENS, kept)
    first = kept.room[:of_a_tensor].view(torch.float32).view(-1, WIDE)
    torch.manual_seed(2 * TOKENS)
    assert torch.equal(first, torch.randn(2 * TOKENS, WIDE))


def test_where_the_size_is_known_there_is_room_from_the_first_batch_on(layers):
    kept = KeptInputs(4 * WIDE * 4)
    learned(layers, 2 * TOKENS, kept)
    assert len(kept.room) == 2 * TOKENS * 4 * WIDE * 4
    assert kept.room[: 2 * TOKENS * WIDE * 4].any()


def test_weights_and_what_is_small_stay_where_they_are(layers):
    kept = KeptInputs(0)
    for _ in range(2):
        learned(layers, TOKENS // 9, kept)
        with kept.apart(3):
            wide = nn.Linear(TOKENS, WIDE)
            wide(torch.ones(3, TOKENS, requires_grad=True)).sum().backward()
    assert (len(kept.room), kept.used) == (0, 0)
