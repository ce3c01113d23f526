"""The loop that makes tokens: transformers prepares everything, then this goes on step by step and can be left in between.

`generate` hands over to it by `custom_generate` (transformers, "Generation strategies"), so that caches, masks and
positions are right for every family of models. Unlike its own loop this one is a generator: others can have their turn
after each token, and a reader who leaves ends it at once, while a long prompt is read as well.
"""

from collections.abc import Iterator

import torch
from transformers import DynamicCache, GenerationConfig, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from core.inference.batch import Batch

# A prompt is read in pieces of so many tokens: at most some seconds on a CPU.
PIECE = 256


def tokens(model: PreTrainedModel, batch: Batch) -> Iterator[None]:
    """Answer the rows; each `next` is one token of each, or a piece of the prompt."""
    return model.generate(
        custom_generate=_decode,
        batch=batch,
        input_ids=batch.ids,
        attention_mask=batch.seen,
        generation_config=GenerationConfig(
            max_new_tokens=max(speaker.most_tokens for speaker in batch.speakers),
            do_sample=False,
            repetition_penalty=1.0,
            pad_token_id=batch.padding,
            use_cache=True,
        ),
    )


def _decode(model, input_ids, generation_config, batch: Batch, logits_processor, stopping_criteria, **state):
    """Rows choose their tokens and end by themselves, so what `generate` would choose and stop by is left aside."""
    begin = 0
    for end in _ends_of_pieces(input_ids.shape[1], state.get("past_key_values")):
        if begin:
            yield
            if batch.over:
                return
        outputs = model(**_piece(model, input_ids, begin, end, state), return_dict=True)
        begin = end
    while True:
        state = model._update_model_kwargs_for_generation(outputs, state)
        chosen = batch.choose(input_ids, outputs.logits[:, -1].float())
        if batch.over:
            return
        yield
        input_ids = torch.cat([input_ids, chosen[:, None]], dim=-1)
        inputs = model.prepare_inputs_for_generation(input_ids, next_sequence_length=1, **state)
        outputs = model(**inputs, return_dict=True)


def _ends_of_pieces(length: int, cache: object) -> list[int]:
    """Where the pieces of a prompt end. Only attention can go on from where it was; any other state gets it whole."""
    attention = (DynamicLayer, DynamicSlidingWindowLayer)
    in_pieces = isinstance(cache, DynamicCache) and all(type(layer) in attention for layer in cache.layers)
    return [*range(PIECE, length, PIECE), length] if in_pieces else [length]


def _piece(model: PreTrainedModel, input_ids: torch.Tensor, begin: int, end: int, state: dict) -> dict:
    """The model's input for a piece of the prompt, with what it may see: all up to its end."""
    until = {name: state[name][..., :end] for name in ("attention_mask", "position_ids") if state.get(name) is not None}
    return model.prepare_inputs_for_generation(
        input_ids[:, :end], next_sequence_length=end - begin, is_first_iteration=begin == 0, **state | until
    )
