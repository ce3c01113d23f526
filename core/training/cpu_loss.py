"""On a CPU: the loss computed only where there are labels, its gradient made on the way; TRL's works at every position.

The output layer of a small model with a large vocabulary is a fifth of all its work; positions without a label need none
of it. Its logits never stand in memory whole. `tests/test_training.py` holds it to the same loss as TRL's. Models whose
logits are changed after the output layer keep TRL's.
"""

import functools
from typing import Any

import torch
from torch import nn

from core.data.tokens import IGNORED
from core.training.room import room
from core.training.speed import LABELS_AT_ONCE

# Settings with which a model changes its logits after the output layer.
CHANGES_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier_scale")
# What a base model is given of a batch: rows side by side have positions and ends, padded rows have a mask.
SEEN = (
    "input_ids",
    "attention_mask",
    "position_ids",
    "cu_seq_lens_q",
    "cu_seq_lens_k",
    "max_length_q",
    "max_length_k",
)


def applies_to(base: Any) -> bool:
    """Whether a base model is a decoder with a plain output layer on top."""
    changed = any(getattr(base.config, name, None) not in (None, 1, 1.0) for name in CHANGES_LOGITS)
    return hasattr(base, "model") and type(getattr(base, "lm_head", None)) is nn.Linear and not changed


def loss_at_labels(
    base: Any, inputs: dict[str, Any], items: torch.Tensor | int | None, smoothing: float = 0.0
) -> torch.Tensor:
    """Mean cross entropy over the labelled positions of a batch; `items` of them make up the whole step.

    `smoothing` is the share of each label that is spread over the vocabulary.
    """
    seen = {name: inputs[name] for name in SEEN if name in inputs}
    hidden = base.model(**seen, use_cache=False).last_hidden_state  # (batch, seq, hidden)
    following = inputs["labels"][:, 1:]
    learned = following != IGNORED
    head = base.lm_head
    found = CrossEntropy.apply(
        hidden[:, :-1][learned], head.weight, head.bias, following[learned], torch.is_grad_enabled(), smoothing
    )
    return found / (items if items is not None else learned.sum().clamp(min=1))


class CrossEntropy(torch.autograd.Function):
    """Sum of the cross entropies of an output layer, and at once its gradient, a few positions at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,  # (labels, hidden)
        weight: torch.Tensor,  # (vocabulary, hidden)
        bias: torch.Tensor | None,
        targets: torch.Tensor,  # (labels,)
        learns: bool,
        smoothing: float,
    ) -> torch.Tensor:
        wanted = [learns and needed for needed in ctx.needs_input_grad[:3]]
        sources = (hidden, weight, bias)
        grads = [torch.zeros_like(one) if asked else None for one, asked in zip(sources, wanted, strict=True)]
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for begin in range(0, len(targets), LABELS_AT_ONCE):
            part = slice(begin, begin + LABELS_AT_ONCE)
            losses, slope = loss_of_part(hidden[part], weight, bias, targets[part], smoothing)
            total += losses.sum()
            if any(wanted):
                add_gradients(grads, slope.to(weight.dtype), hidden[part], weight, part)
            del slope  # or the next part's logits would stand beside it
        ctx.grads = grads
        return total

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return *(None if found is None else found * grad.to(found.dtype) for found in ctx.grads), None, None, None


def loss_of_part(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor, smoothing: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """The losses of some positions, (positions,), and their slopes at the logits, (positions, vocabulary): softmax less the target."""
    logits = _logits(hidden, weight, bias)
    # In place from here on: each further copy would be as large as the logits.
    right = logits.gather(1, targets[:, None])
    wanted = right if not smoothing else (1 - smoothing) * right + smoothing * logits.mean(1, keepdim=True)
    highest = logits.amax(1, keepdim=True)
    slope = logits.sub_(highest).exp_()
    total = slope.sum(1, keepdim=True)
    losses = (total.log() + highest - wanted).squeeze(1)
    slope.div_(total)
    slope.scatter_add_(1, targets[:, None], torch.full_like(right, smoothing - 1.0))
    if smoothing:
        slope.sub_(smoothing / slope.shape[1])
    return losses, slope


def _logits(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """In 32 bits; in a tile that is there for good where they are made in 32 bits."""
    if not hidden.dtype == weight.dtype == torch.float32 or hidden.device.type != "cpu":
        return nn.functional.linear(hidden, weight, bias).float()
    logits = torch.mm(hidden, weight.t(), out=_tile(LABELS_AT_ONCE, len(weight))[: len(hidden)])
    return logits if bias is None else logits.add_(bias)


@functools.lru_cache(maxsize=1)
def _tile(positions: int, words: int) -> torch.Tensor:
    """Room for logits, (positions, words): in the heap small things would settle in the hole that they leave."""
    return room(positions * words * 4).view(torch.float32).view(positions, words)


def add_gradients(
    grads: list[torch.Tensor | None], slope: torch.Tensor, hidden: torch.Tensor, weight: torch.Tensor, part: slice
) -> None:
    of_hidden, of_weight, of_bias = grads
    if of_hidden is not None:
        torch.mm(slope, weight, out=of_hidden[part])
    if of_weight is not None:
        of_weight.addmm_(slope.t(), hidden)
    if of_bias is not None:
        of_bias.add_(slope.sum(0))
