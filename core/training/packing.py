"""Whether a model keeps packed conversations apart. Most do, by their positions; some never look at them (OPT, Falcon)."""

import torch
from transformers import PreTrainedModel

from core.errors import ModelError

LENGTH = 8  # tokens of each of two conversations in one row
# What is seen changes the logits by far more; what is not seen changes nothing, not even a rounding.
TOLERANCE = 1e-3


def check(base: PreTrainedModel, source: str) -> None:
    """Raise ModelError if a conversation sees the one before it in its row."""
    if not keeps_apart(base):
        raise ModelError(
            f"data.packing: {source} does not keep packed conversations apart, so each would learn from the one before. "
            "Turn packing off."
        )


@torch.no_grad()
def keeps_apart(base: PreTrainedModel) -> bool:
    """Whether the second conversation of a row gives the same whatever the first one says."""
    one, other = (_second(base, token) for token in (1, 2))
    return bool((one - other).abs().max() <= TOLERANCE * one.abs().max())


def _second(base: PreTrainedModel, token: int) -> torch.Tensor:
    """Logits of the second conversation, (seq, vocabulary), where the first one is this token again and again."""
    positions = torch.arange(LENGTH, device=base.device)
    ids = torch.cat([torch.full_like(positions, token), positions])
    row = {"input_ids": ids[None], "position_ids": positions.repeat(2)[None]}
    return base(**row, use_cache=False).logits[0, LENGTH:].float()
