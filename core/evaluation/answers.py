"""What a model answers, always its likeliest words, so that the same question gets the same answer."""

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from core.inference.prompt import ends_of

AT_ONCE = 8


@torch.inference_mode()
def answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]], longest: int
) -> list[str]:
    """Texts, in the order of the prompts, which are token ids."""
    found: list[str] = []
    for start in range(0, len(prompts), AT_ONCE):
        found += _of_batch(model, tokenizer, prompts[start : start + AT_ONCE], longest)
    return found


def _of_batch(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]], longest: int
) -> list[str]:
    padding, width = tokenizer.pad_token_id or 0, max(map(len, prompts))
    ids = torch.tensor([[padding] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
    seen = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=model.device)
    ends = model.generation_config.eos_token_id
    known = ends_of(tokenizer) | frozenset(ends if isinstance(ends, list) else [ends] if ends is not None else [])
    settings = GenerationConfig(
        max_new_tokens=longest, do_sample=False, pad_token_id=padding, eos_token_id=sorted(known) or None
    )
    written = model.generate(input_ids=ids, attention_mask=seen, generation_config=settings)[:, width:]
    return [text.strip() for text in tokenizer.batch_decode(written, skip_special_tokens=True)]
