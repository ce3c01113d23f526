"""What a model answers, always its likeliest words, so that the same question gets the same answer."""

from collections.abc import Callable

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteria

from core.errors import DataError
from core.inference.prompt import context_in, ends_of

AT_ONCE = 8


class Tell(StoppingCriteria):
    """Stops nothing: tells after each token how many there are."""

    def __init__(self, told: Callable[[int], None], width: int):
        self.told = told
        self.width = width  # tokens of the prompt

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs) -> torch.Tensor:
        self.told(input_ids.shape[1] - self.width)
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


@torch.inference_mode()
def answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    longest: int,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> list[str]:
    """Texts, in the order of the prompts, which are token ids; `told` hears after each step how many of how many are done.

    An answer ends where the model's context does. Raises DataError for a prompt that leaves no room for one.
    """
    context = context_in(model.config)
    check_fit(prompts, context)
    found: list[str] = []
    starts = range(0, len(prompts), AT_ONCE)
    total = len(starts) * longest
    for number, start in enumerate(starts):
        before = number * longest
        batch = prompts[start : start + AT_ONCE]
        room = context - max(map(len, batch))  # positions beyond it end some models
        found += _of_batch(
            model, tokenizer, batch, min(longest, room), lambda steps, before=before: told(before + steps, total)
        )
    if prompts:
        told(total, total)  # answers may have ended sooner
    return found


def check_fit(prompts: list[list[int]], context: int) -> None:
    """Raise DataError for a prompt that leaves no room for an answer."""
    length = max(map(len, prompts), default=0)
    if length >= context:
        raise DataError(
            f"A prompt is {length:,} tokens long, and the model reads {context:,} with its answer. Give a shorter one."
        )


def _of_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    longest: int,
    told: Callable[[int], None],
) -> list[str]:
    padding, width = tokenizer.pad_token_id or 0, max(map(len, prompts))
    ids = torch.tensor([[padding] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
    seen = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
    ends = model.generation_config.eos_token_id
    known = ends_of(tokenizer) | frozenset(ends if isinstance(ends, list) else [ends] if ends is not None else [])
    settings = GenerationConfig(
        max_new_tokens=longest, do_sample=False, pad_token_id=padding, eos_token_id=sorted(known) or None
    )
    tell = [Tell(told, width)]
    written = model.generate(input_ids=ids, attention_mask=seen, generation_config=settings, stopping_criteria=tell)
    written = written[:, width:]
    return [text.strip() for text in tokenizer.batch_decode(written, skip_special_tokens=True)]
