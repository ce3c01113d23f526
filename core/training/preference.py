"""Losses over pairs of answers: how much likelier the chosen one is to be than the rejected one.

`tests/test_preference.py` holds dpo to TRL's own trainer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

# Where an answer is sure, its odds have no logarithm.
SUREST = -1e-6


@dataclass(frozen=True)
class Likelihoods:
    """Log-likelihood of each conversation's answer and its tokens, (2 x pairs,): the chosen and the rejected of each pair in turn."""

    sums: torch.Tensor
    tokens: torch.Tensor

    @property
    def means(self) -> torch.Tensor:
        """By token."""
        return self.sums / self.tokens


@dataclass(frozen=True)
class Judged:
    """Loss of each pair, and by how much the chosen answer is preferred, below 0 where the rejected one is, (pairs,) each."""

    losses: torch.Tensor
    margins: torch.Tensor

    @property
    def preferred(self) -> torch.Tensor:
        """1 where the chosen answer is preferred, 0 where the rejected one is, a half where neither is, (pairs,)."""
        return (self.margins.detach().sign() + 1) / 2


def dpo(now: Likelihoods, before: Likelihoods, beta: float) -> Judged:
    """Arxiv 2305.18290, equation 7; `before` are the likelihoods under the model as it was at the start."""
    rewards = beta * (now.sums - before.sums)
    margins = rewards[0::2] - rewards[1::2]
    return Judged(-logsigmoid(margins), margins)


def orpo(now: Likelihoods, before: None, beta: float) -> Judged:
    """Arxiv 2403.07691, equations 6 and 7; likelihoods by token."""
    means = now.means
    sure = means.clamp(max=SUREST)
    odds = sure - torch.log(-torch.expm1(sure))
    margins = odds[0::2] - odds[1::2]
    return Judged(-means[0::2] - beta * logsigmoid(margins), margins)


LOSSES: dict[str, Callable[[Likelihoods, Likelihoods | None, float], Judged]] = {"dpo": dpo, "orpo": orpo}
