"""The loss of each row: what every held-out number of the studio is made of, in a training and after it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from core.data.tokens import IGNORED
from core.training.cpu_loss import applies_to
from core.training.documents import NAME as BY_CONVERSATION

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
    inputs, labels, owner = (_side_by_side if _attends_by_conversation(base) else _padded)(rows, base.device)
    following, owner = labels[:, 1:], owner[:, 1:]
    learned = following != IGNORED
    logits = _logits(base, inputs, learned)  # (labels, vocabulary)
    # Added up on the CPU: Apple's GPUs have no numbers of 64 bits.
    losses = F.cross_entropy(logits.float(), following[learned], reduction="none").cpu().double()
    both = torch.stack([losses, torch.ones_like(losses)], dim=1)
    sums = torch.zeros((len(rows), 2), dtype=both.dtype)
    return sums.index_add_(0, owner[learned].cpu(), both).numpy()


def _attends_by_conversation(base: PreTrainedModel) -> bool:
    """Whether it was given the attention of conversations side by side (`documents`), which takes one row with ends."""
    return base.config._attn_implementation == BY_CONVERSATION


def _logits(base: Any, inputs: dict[str, Any], learned: torch.Tensor) -> torch.Tensor:
    """Only where there are labels, if the model's output layer can be asked alone."""
    if applies_to(base):
        return base.lm_head(base.model(**inputs, use_cache=False).last_hidden_state[:, :-1][learned])
    return base(**inputs, use_cache=False).logits[:, :-1][learned]


Batch = tuple[dict[str, Any], torch.Tensor, torch.Tensor]  # what the model gets, labels, and which row each is of


def _padded(rows: list[Row], device: torch.device) -> Batch:
    """Under each other; without a mask, as what fills a row up comes after its end, where nothing that counts looks."""
    ids, labels = (
        pad_sequence([torch.tensor(row[name]) for row in rows], batch_first=True, padding_value=filling).to(device)
        for name, filling in (("input_ids", 0), ("labels", IGNORED))
    )
    return {"input_ids": ids}, labels, torch.arange(len(rows), device=device)[:, None].expand_as(ids)


def _side_by_side(rows: list[Row], device: torch.device) -> Batch:
    """In one row, each conversation with positions and an end of its own."""
    lengths = [len(row["input_ids"]) for row in rows]
    ids = torch.cat([torch.tensor(row["input_ids"]) for row in rows])[None].to(device)
    # The first token of a row follows nothing.
    labels = torch.cat([torch.tensor([IGNORED, *row["labels"][1:]]) for row in rows])[None].to(device)
    owner = torch.arange(len(rows), device=device).repeat_interleave(torch.tensor(lengths, device=device))[None]
    ends = torch.tensor([0, *lengths], device=device).cumsum(0).int()
    positions = torch.cat([torch.arange(length, device=device) for length in lengths])[None]
    seen = {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": max(lengths), "max_length_k": max(lengths)}
    return {"input_ids": ids, "position_ids": positions} | seen, labels, owner
