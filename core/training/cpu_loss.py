"""On a CPU: the loss computed only where there are labels; TRL's chunked loss computes it at every position.

The output layer of a small model with a large vocabulary is a fifth of all its work; positions without a label need none
of it. `tests/test_training.py` holds it to the same loss as TRL's. Models whose logits are changed after the output layer keep TRL's.
"""

from typing import Any

import torch
from torch.nn import functional as F

from core.data.tokens import IGNORED

# Settings with which a model changes its logits after the output layer.
CHANGES_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier_scale")


def applies_to(base: Any) -> bool:
    """Whether a base model is a decoder with a plain output layer on top."""
    changed = any(getattr(base.config, name, None) not in (None, 1, 1.0) for name in CHANGES_LOGITS)
    return hasattr(base, "model") and hasattr(base, "lm_head") and not changed


def loss_at_labels(
    base: Any, inputs: dict[str, torch.Tensor], items: torch.Tensor | int | None, smoothing: float = 0.0
) -> torch.Tensor:
    """Mean cross entropy over the labelled positions of a padded batch; `items` of them make up the whole step.

    `smoothing` is the share of each label that is spread over the vocabulary.
    """
    # Packed rows have positions instead of a mask: each of their conversations begins at 0 and sees only itself.
    seen = {name: inputs[name] for name in ("input_ids", "attention_mask", "position_ids") if name in inputs}
    hidden = base.model(**seen, use_cache=False).last_hidden_state  # (batch, seq, hidden)
    following = inputs["labels"][:, 1:]
    learned = following != IGNORED
    logits = base.lm_head(hidden[:, :-1][learned])  # (labels, vocabulary)
    total = F.cross_entropy(logits.float(), following[learned], reduction="sum", label_smoothing=smoothing)
    return total / (items if items is not None else learned.sum().clamp(min=1))
