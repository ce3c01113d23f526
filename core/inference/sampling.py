"""How the next token of one row is chosen; every row of a batch has settings and a seed of its own."""

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from core.inference.protocol import Sampled

# Below it, scores divided by the temperature leave the range of a float; the likeliest token has all the chance anyway.
COLDEST = 1e-4


class Sampler:
    """Chooses one row's tokens, as `generate` would if the row were alone."""

    def __init__(self, ask: Sampled, device: torch.device):
        self.greedy = ask.temperature < COLDEST
        self.generator = torch.Generator(device)
        # Always seeded: else an answer without a seed would follow from the seed of the one before.
        self.generator.manual_seed(self.generator.seed() if ask.seed is None else ask.seed)
        self.steps = LogitsProcessorList([*_penalty(ask), *([] if self.greedy else _chances(ask))])

    def choose(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The next token, (1,), after `ids`, (1, seq) without padding, from its scores, (1, vocabulary)."""
        scores = self.steps(ids, scores)
        if self.greedy:
            return scores.argmax(-1)
        return torch.multinomial(scores.softmax(-1), 1, generator=self.generator)[0]


def _penalty(ask: Sampled) -> list[LogitsProcessor]:
    return [RepetitionPenaltyLogitsProcessor(ask.repetition_penalty)] if ask.repetition_penalty != 1 else []


def _chances(ask: Sampled) -> list[LogitsProcessor]:
    """In the order of transformers: the temperature first, then what is left to chance."""
    steps: list[LogitsProcessor] = [TemperatureLogitsWarper(ask.temperature)]
    steps += [TopKLogitsWarper(ask.top_k)] if ask.top_k else []
    steps += [TopPLogitsWarper(ask.top_p)] if ask.top_p < 1 else []
    return steps + ([MinPLogitsWarper(ask.min_p)] if ask.min_p else [])
