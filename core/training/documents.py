"""Conversations side by side in one row, each attending to itself only: nothing is computed for padding, or between them.

Registered with transformers as an attention of its own. It works by the ends of the conversations, which TRL's collator
gives; a model that does not pass them on, or does more than plain causal attention, keeps padded rows (`problem`).
"""

from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

CHOICE = "by conversation"
NAME = CHOICE.replace(" ", "_")
# What attention may be asked for that this one does not do.
UNKNOWN = ("softcap", "position_bias", "s_aux")
# Two conversations to try a model with.
LENGTHS = (5, 8)
# Largest difference of logits, as a share of the largest: a rounding, and what a conversation seen by another exceeds by far.
TOLERANCE = {torch.float32: 1e-3}
TOLERANCE_SHORT = 3e-2


def attention(
    module: nn.Module,
    query: torch.Tensor,  # (1, heads, tokens, head)
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    **asked: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each conversation; without ends the row is one. Raises ValueError for what it cannot do."""
    lengths = [query.shape[2]] if cu_seq_lens_q is None else cu_seq_lens_q.diff().tolist()
    _refuse(module, asked | {"attention_mask": attention_mask, "not causal": is_causal is False}, max(lengths))
    grouped = query.shape[1] != key.shape[1]
    parts = [
        scaled_dot_product_attention(*part, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped)
        # Split, not sliced: the gradient of so many slices would be as many rows full of zeros.
        for part in zip(*(whole.split(lengths, dim=2) for whole in (query, key, value)), strict=True)
    ]
    return torch.cat([part.transpose(1, 2) for part in parts], dim=1), None


def _refuse(module: nn.Module, asked: dict[str, Any], longest: int) -> None:
    found = [name for name in (*UNKNOWN, "attention_mask") if asked.get(name) is not None]
    if asked["not causal"] or not getattr(module, "is_causal", True):
        found.append("attention to what follows")
    if (asked.get("sliding_window") or longest) < longest:
        found.append("sliding_window")
    if found:
        raise ValueError(f"it needs {' and '.join(found)}")


AttentionInterface.register(NAME, attention)


def use_in(base: PreTrainedModel, longest: int) -> str | None:
    """Let a model attend by conversation; or leave it as it is, and say why conversations cannot stand side by side.

    `longest` is the most tokens that a conversation has.
    """
    if found := _unfit(base, longest):
        return found
    before, trained = base.config._attn_implementation, base.training
    base.eval()
    try:
        alone = [_logits(base, ids, None) for ids in _conversations(base)]
        base.set_attn_implementation(NAME)
        found = _different(base, torch.cat(alone, dim=1))
    finally:
        base.train(trained)
    if found:
        base.set_attn_implementation(before)
    return found


def _unfit(base: PreTrainedModel, longest: int) -> str | None:
    """What the configuration tells; much of it is done by masks, which this attention never gets."""
    config = base.config.get_text_config()
    if not base._can_set_attn_implementation():
        return "it has an attention of its own"
    if getattr(config, "attn_logit_softcapping", None):
        return "it caps its attention scores"
    for name in ("sliding_window", "attention_chunk_size"):
        if (getattr(config, name, None) or longest) < longest:
            return f"it attends within {getattr(config, name):,} tokens only, and conversations may have {longest:,}"
    return None


def _different(base: PreTrainedModel, alone: torch.Tensor) -> str | None:
    ids = torch.cat(_conversations(base), dim=1)
    ends = torch.tensor([0, *LENGTHS], device=base.device).cumsum(0).int()
    try:
        together = _logits(base, ids, ends)
    except (ValueError, TypeError, KeyError) as error:
        return str(error).split("\n")[0][:200]
    worst = (together - alone).abs().max() / alone.abs().max()
    # Said this way round, a comparison with what is no number fails too.
    agrees = bool(worst <= TOLERANCE.get(base.dtype, TOLERANCE_SHORT))
    return None if agrees else "it does not keep conversations in one row apart"


def _conversations(base: PreTrainedModel) -> list[torch.Tensor]:
    return [torch.arange(1, length + 1, device=base.device)[None] for length in LENGTHS]


@torch.no_grad()
def _logits(base: PreTrainedModel, ids: torch.Tensor, ends: torch.Tensor | None) -> torch.Tensor:
    """Logits of one row, (1, tokens, vocabulary), in products as exact as they come."""
    lengths = [ids.shape[1]] if ends is None else ends.diff().tolist()
    positions = torch.cat([torch.arange(length, device=ids.device) for length in lengths])[None]
    seen = {"input_ids": ids, "position_ids": positions, "use_cache": False}
    if ends is not None:
        longest = max(lengths)
        seen |= {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": longest, "max_length_k": longest}
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        return base(**seen).logits.float()
    finally:
        torch.set_float32_matmul_precision(before)
