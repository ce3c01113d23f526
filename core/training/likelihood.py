"""How likely a model makes each answer of a batch, with gradients: logits only where there is a label, a few at a time.

What a pair's loss makes of an answer is known only when both have gone through the model, so the logits of each position
are made again for its gradient. Models whose logits are changed after the output layer are asked for all of them.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from core.data.tokens import IGNORED
from core.training.cpu_loss import SEEN, add_gradients, loss_of_part
from core.training.pairs import owners
from core.training.preference import Likelihoods
from core.training.speed import LABELS_AT_ONCE


def at_labels(base: Any, inputs: dict[str, torch.Tensor]) -> Likelihoods:
    """Of every conversation of a batch, by a decoder with a plain output layer (`cpu_loss.applies_to`)."""
    hidden = base.model(**_seen(inputs), use_cache=False).last_hidden_state  # (batch, seq, hidden)
    learned = inputs["labels"][:, 1:] != IGNORED
    found = _of_labels(hidden[:, :-1][learned], base.lm_head, inputs["labels"][:, 1:][learned])
    return _summed(found, learned, inputs)


def at_every_position(model: Any, inputs: dict[str, torch.Tensor]) -> Likelihoods:
    """The same by any model, also one whose call several processes watch."""
    logits = model(**_seen(inputs), use_cache=False).logits  # (batch, seq, vocabulary)
    learned = inputs["labels"][:, 1:] != IGNORED
    targets = inputs["labels"][:, 1:][learned]
    return _summed(-cross_entropy(logits[:, :-1][learned].float(), targets, reduction="none"), learned, inputs)


def _seen(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: inputs[name] for name in SEEN if name in inputs}


def _of_labels(hidden: torch.Tensor, head: nn.Linear, targets: torch.Tensor) -> torch.Tensor:
    """In the number format of the training forwards and backwards: on its way back nothing sets it."""
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else head.weight.dtype
    bias = None if head.bias is None else head.bias.to(dtype)
    with torch.autocast(kind, enabled=False):
        return LogLikelihood.apply(hidden.to(dtype), head.weight.to(dtype), bias, targets)


def _summed(found: torch.Tensor, learned: torch.Tensor, inputs: dict[str, torch.Tensor]) -> Likelihoods:
    """From log-likelihoods of all labelled positions, (labels,), those of each conversation."""
    owner = owners(inputs)
    of_label, every = owner[:, 1:][learned], int(owner[-1, -1]) + 1
    sums = torch.zeros(every, dtype=found.dtype, device=found.device).index_add(0, of_label, found)
    return Likelihoods(sums, of_label.bincount(minlength=every))


class LogLikelihood(torch.autograd.Function):
    """The logarithm of the likelihood of each target, (labels,), a few positions at a time, forwards and backwards."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,  # (labels, hidden)
        weight: torch.Tensor,  # (vocabulary, hidden)
        bias: torch.Tensor | None,
        targets: torch.Tensor,  # (labels,)
    ) -> torch.Tensor:
        ctx.save_for_backward(hidden, weight, bias, targets)
        found = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        for part in _parts(targets):
            found[part] = -loss_of_part(hidden[part], weight, bias, targets[part])[0]
        return found

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, bias, targets = ctx.saved_tensors
        grads = [
            torch.zeros_like(one) if asked else None
            for one, asked in zip((hidden, weight, bias), ctx.needs_input_grad, strict=False)
        ]
        for part in _parts(targets):
            slope = loss_of_part(hidden[part], weight, bias, targets[part])[1]
            add_gradients(grads, slope.mul_(-grad[part, None]).to(weight.dtype), hidden[part], weight, part)
            del slope  # or the next part's logits would stand beside it
        return *grads, None


def _parts(targets: torch.Tensor) -> list[slice]:
    return [slice(begin, begin + LABELS_AT_ONCE) for begin in range(0, len(targets), LABELS_AT_ONCE)]
