"""The loss of each row: what every held-out number of the studio is made of, in a training and after it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from core.data.tokens import IGNORED
from core.training.cpu_loss import applies_to

Row = dict[str, Any]


@torch.no_grad()
def row_losses(
    base: PreTrainedModel, rows: Sequence[Row], at_once: int, after_each: Callable[[int], None] = lambda done: None
) -> np.ndarray:
    """Sum of the cross entropy over a row's supervised tokens, and how many they are, shape (rows, 2).

    `rows` have `input_ids` and `labels`; `base` is the model itself, whose layers may hold an adapter. Rows of like length
    are computed together, `at_once` of them; after each batch `after_each` hears how many rows are done.
    """
    found = np.zeros((len(rows), 2))
    order = np.argsort([len(row["input_ids"]) for row in rows], kind="stable")
    for start in range(0, len(order), at_once):
        places = order[start : start + at_once]
        found[places] = _of_batch(base, [rows[int(place)] for place in places])
        after_each(start + len(places))
    return found


def _of_batch(base: PreTrainedModel, rows: list[Row]) -> np.ndarray:
    ids, labels = _padded(rows, "input_ids", 0), _padded(rows, "labels", IGNORED)
    device = base.device
    following = labels[:, 1:].to(device)  # (batch, seq - 1)
    learned = following != IGNORED
    logits = _logits(base, ids.to(device), learned)  # (labels, vocabulary)
    losses = F.cross_entropy(logits.float(), following[learned], reduction="none")
    sums = torch.zeros(following.shape, device=device).masked_scatter(learned, losses).sum(1)
    return torch.stack([sums, learned.sum(1)], dim=1).double().cpu().numpy()


def _logits(base: Any, ids: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
    """Only where there are labels, if the model's output layer can be asked alone.

    Without a mask: what fills a row up comes after its end, where nothing that counts looks.
    """
    if applies_to(base):
        return base.lm_head(base.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1][learned])
    return base(input_ids=ids, use_cache=False).logits[:, :-1][learned]


def _padded(rows: list[Row], column: str, filling: int) -> torch.Tensor:
    values = [torch.tensor(row[column]) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(values, batch_first=True, padding_value=filling)
