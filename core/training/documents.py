"""Conversations side by side in one row, each attending to itself only: nothing is computed for padding, or between them.

On a GPU that has it, in 16 bits, by the FlashAttention in PyTorch; elsewhere by products of its own.
Registered with transformers as an attention of its own. It works by the ends of the conversations, which TRL's collator
gives; a model that does not pass them on, or does more than plain causal attention, keeps padded rows (`use_in`).
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel

from core.models.too_small import is_too_small

CHOICE = "by conversation"
NAME = CHOICE.replace(" ", "_")
# What attention may be asked for that this one does not do.
UNKNOWN = ("softcap", "position_bias", "s_aux")
# What FlashAttention 2 computes in, and the widest heads that it has gradients for on every GPU, a multiple of 8 (its README).
SHORT = (torch.bfloat16, torch.float16)
WIDEST_HEAD = 192
# Tokens whose scores stand in memory together: a long conversation is gone through in blocks.
BLOCK = 256
# Two conversations to try a model with.
LENGTHS = (5, 8)
# Largest difference of logits, as a share of the largest: a rounding, and what a conversation seen by another exceeds by far.
TOLERANCE, TOLERANCE_SHORT = 1e-3, 3e-2


def attention(
    module: nn.Module,
    query: torch.Tensor,  # (1, heads, tokens, head)
    key: torch.Tensor,  # (1, grouped heads, tokens, head)
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **asked: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each conversation; without ends the row is one. Raises ValueError for what it cannot do."""
    longest = query.shape[2] if max_length_q is None else max_length_q
    asked |= {"attention_mask": attention_mask, "not causal": is_causal is False, "rows": len(query) > 1}
    _refuse(module, asked | {"dropout": dropout or None}, longest)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if short := _short(query, value):
        heads = (one[0].to(short) for one in (query, key, value))
        return _flash(*heads, cu_seq_lens_q, longest, scale)[None].to(value.dtype), None
    ends = [0, query.shape[2]] if cu_seq_lens_q is None else cu_seq_lens_q.tolist()
    return Attention.apply(query[0], key[0], value[0], ends, scale)[None], None


def _short(query: torch.Tensor, value: torch.Tensor) -> torch.dtype | None:
    """The 16 bits that a GPU computes this attention in; None for other devices and formats. Raises ValueError for other heads."""
    if not query.is_cuda:
        return None
    width = query.shape[-1]
    if width % 8 or width > WIDEST_HEAD or value.shape[-1] != width:
        raise ValueError(
            f"it asks for heads of {width:,} and {value.shape[-1]:,} numbers, which FlashAttention has not"
        )
    found = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else query.dtype
    return found if found in SHORT else None


def _flash(
    query: torch.Tensor,  # (heads, tokens, head)
    key: torch.Tensor,  # (grouped heads, tokens, head)
    value: torch.Tensor,
    ends: torch.Tensor | None,
    longest: int,
    scale: float,
) -> torch.Tensor:
    """Attention by FlashAttention 2 (arXiv:2307.08691), (tokens, heads, head)."""
    if ends is None:
        ends = torch.tensor([0, query.shape[1]], dtype=torch.int32, device=query.device)
    # Nothing but the tokens before, and all of them.
    causal = {"window_size": (-1, 0), "scale": scale, "enable_gqa": len(key) < len(query)}
    tokens = (one.transpose(0, 1) for one in (query, key, value))
    return varlen_attn(*tokens, ends, ends, longest, longest, **causal)


class Attention(torch.autograd.Function):
    """Heads that share a key are stacked into one batched product; scores are made again for the gradient, not kept.

    Where fp32 products are rounded to bf16 anyway, they are given bf16, which spares them the conversion.
    """

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, ends: list[int], scale: float
    ) -> torch.Tensor:
        short = torch.bfloat16 if torch.get_float32_matmul_precision() == "medium" else query.dtype
        groups = len(key)
        q = (query * scale).to(short).unflatten(0, (groups, -1))  # (groups, heads each, tokens, head)
        k, v = key.to(short).contiguous(), value.to(short).contiguous()  # (groups, tokens, head)
        out = torch.empty(*q.shape[:3], v.shape[-1], dtype=query.dtype, device=query.device)
        for own, seen in _blocks(ends):
            share = _shares(q, k, own, seen)
            out[:, :, own] = torch.bmm(share, v[:, seen]).unflatten(1, (q.shape[1], -1))
        ctx.save_for_backward(q, k, v)
        ctx.ends, ctx.scale, ctx.dtype = ends, scale, query.dtype
        return out.flatten(0, 1).transpose(0, 1)  # (tokens, heads, head)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, k, v = ctx.saved_tensors
        slope = grad.transpose(0, 1).to(q.dtype).unflatten(0, (len(k), -1))
        of_q = torch.empty_like(q, dtype=torch.float32)
        of_k, of_v = (torch.zeros_like(one, dtype=torch.float32) for one in (k, v))
        for own, seen in _blocks(ctx.ends):
            share, here = _shares(q, k, own, seen), _stacked(slope, own)
            of_v[:, seen] += torch.bmm(share.transpose(1, 2), here)
            of_share = torch.bmm(here, v[:, seen].transpose(1, 2)).float()
            of_score = torch._softmax_backward_data(of_share, share.float(), -1, torch.float32).to(q.dtype)
            of_q[:, :, own] = torch.bmm(of_score, k[:, seen]).float().unflatten(1, (q.shape[1], -1))
            of_k[:, seen] += torch.bmm(of_score.transpose(1, 2), _stacked(q, own))
        of_q = of_q.flatten(0, 1).mul_(ctx.scale)
        return *(one.to(ctx.dtype) for one in (of_q, of_k, of_v)), None, None


def _blocks(ends: list[int]) -> Iterator[tuple[slice, slice]]:
    """Tokens that attend, and those that they may attend to: some of a conversation, and it up to there."""
    for begin, end in pairwise(ends):
        for first in range(begin, end, BLOCK):
            last = min(first + BLOCK, end)
            yield slice(first, last), slice(begin, last)


def _shares(q: torch.Tensor, k: torch.Tensor, own: slice, seen: slice) -> torch.Tensor:
    """How much each token attends to each: the softmax of its scores, (groups, heads each * own, seen)."""
    scores = torch.bmm(_stacked(q, own), k[:, seen].transpose(1, 2)).float()
    tokens, count = own.stop - own.start, seen.stop - seen.start
    later = torch.full((tokens, count), -torch.inf, device=q.device).triu_(1 + count - tokens)
    return scores.view(-1, tokens, count).add_(later).softmax(-1).view_as(scores).to(q.dtype)


def _stacked(heads: torch.Tensor, part: slice) -> torch.Tensor:
    return heads[:, :, part].flatten(1, 2)


def _refuse(module: nn.Module, asked: dict[str, Any], longest: int) -> None:
    found = [name for name in (*UNKNOWN, "attention_mask", "dropout") if asked.get(name) is not None]
    if asked["rows"]:
        found.append("several rows at once")
    if asked["not causal"] or not getattr(module, "is_causal", True):
        found.append("attention to what follows")
    if (asked.get("sliding_window") or longest) < longest:
        found.append("sliding_window")
    if found:
        raise ValueError(f"it asks for {' and '.join(found)}")


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
    if getattr(config, "attention_dropout", None):
        return "it drops attention scores"
    for name in ("sliding_window", "attention_chunk_size"):
        if (getattr(config, name, None) or longest) < longest:
            return f"it attends within {getattr(config, name):,} tokens only, and conversations may have {longest:,}"
    return None


def _different(base: PreTrainedModel, alone: torch.Tensor) -> str | None:
    ids = torch.cat(_conversations(base), dim=1)
    ends = torch.tensor([0, *LENGTHS], device=base.device).cumsum(0).int()
    try:
        together = _logits(base, ids, ends)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        if is_too_small(error):
            raise
        return str(error).split("\n")[0][:200]
    worst = (together - alone).abs().max() / alone.abs().max()
    # Said this way round, a comparison with what is no number fails too.
    agrees = bool(worst <= (TOLERANCE_SHORT if _rounds(base) else TOLERANCE))
    return None if agrees else "it does not keep conversations in one row apart"


def _rounds(base: PreTrainedModel) -> bool:
    """Whether it multiplies in 16 bits, as all do on a GPU that this attention is chosen for."""
    return base.dtype != torch.float32 or base.device.type == "cuda"


def _conversations(base: PreTrainedModel) -> list[torch.Tensor]:
    return [torch.arange(1, length + 1, device=base.device)[None] for length in LENGTHS]


@torch.no_grad()
def _logits(base: PreTrainedModel, ids: torch.Tensor, ends: torch.Tensor | None) -> torch.Tensor:
    """Logits of one row, (1, tokens, vocabulary), in products as exact as they come; on a GPU in 16 bits, as they are trained."""
    lengths = [ids.shape[1]] if ends is None else ends.diff().tolist()
    positions = torch.cat([torch.arange(length, device=ids.device) for length in lengths])[None]
    seen = {"input_ids": ids, "position_ids": positions, "use_cache": False}
    if ends is not None:
        longest = max(lengths)
        seen |= {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": longest, "max_length_k": longest}
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast("cuda", torch.bfloat16, enabled=base.device.type == "cuda"):
            return base(**seen).logits.float()
    finally:
        torch.set_float32_matmul_precision(before)
