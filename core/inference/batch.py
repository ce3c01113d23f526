"""Several answers out of one batch: each row with its own way to choose, its own ends, and somebody who listens."""

from dataclasses import dataclass
from threading import Event
from typing import Protocol

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from core.errors import EngineError, StudioError
from core.inference.choices import Target
from core.inference.prompt import Prompt
from core.inference.protocol import Sampled
from core.inference.sampling import Sampler
from core.inference.text import TextPieces


class Listener(Protocol):
    """Whoever gets the answer; setting `cancelled` ends it at the next token."""

    cancelled: Event

    def say(self, text: str, tokens: int) -> None:
        """A piece of text, and how many tokens there are by now."""

    def finish(self, reason: str) -> None:
        """The answer is whole: `stop` or `length`."""

    def fail(self, error: StudioError) -> None:
        """There will be no more of this answer."""


@dataclass(frozen=True, eq=False)
class Row:
    """One answer to compute: what was asked of which model, as which tokens, and who listens."""

    ask: Sampled
    target: Target
    prompt: Prompt
    listener: Listener


class Speaker:
    """One row while it is written. What comes after its end is computed with the others, and dropped."""

    def __init__(self, row: Row, ends: frozenset[int], most_tokens: int, device: torch.device):
        self.listener = row.listener
        self.text = TextPieces(row.prompt.tokenizer, row.ask.stop)
        self.sampler = Sampler(row.ask, device)
        self.ends = row.prompt.ends | ends
        self.most_tokens = min(row.ask.longest or most_tokens, most_tokens)
        self.length = len(row.prompt.ids)
        self.tokens = 0
        self._over = False

    @property
    def over(self) -> bool:
        return self._over or self.listener.cancelled.is_set()

    def choose(self, ids: torch.Tensor, scores: torch.Tensor) -> int:
        """The next token after `ids`, (1, seq) padded on the left, from its scores, (1, vocabulary)."""
        if self.over:
            return 0
        if not scores.amax().isfinite():  # NaN spreads through a maximum
            self._over = True
            self.listener.fail(
                EngineError("The model failed while answering: it computes no numbers. Its weights may be damaged.")
            )
            return 0
        return int(self.sampler.choose(ids[:, -self.length - self.tokens :], scores))

    def take(self, token: int) -> None:
        if self.over:
            return
        self.tokens += 1
        ended = token in self.ends
        self.listener.say("" if ended else self.text.add(token), self.tokens)
        if ended or self.text.stopped or self.tokens >= self.most_tokens:
            self._over = True
            self.listener.say(self.text.rest(), self.tokens)
            self.listener.finish("stop" if ended or self.text.stopped else "length")


class Batch:
    """The rows as one input, left-padded so that all are at the same place in every step."""

    def __init__(self, rows: list[Row], ends: frozenset[int], device: torch.device):
        # Rows are never longer than the context of the longest: positions beyond it end some models' process.
        self.most_tokens = min(row.prompt.room for row in rows)
        self.speakers = [Speaker(row, ends, self.most_tokens, device) for row in rows]
        self.device = device
        self.padding = rows[0].prompt.tokenizer.pad_token_id or 0
        longest = max(speaker.length for speaker in self.speakers)
        gaps = [longest - speaker.length for speaker in self.speakers]
        ids = [[self.padding] * gap + row.prompt.ids for gap, row in zip(gaps, rows, strict=True)]
        self.ids = torch.tensor(ids, device=device)  # (batch, seq)
        seen = [[0] * gap + [1] * (longest - gap) for gap in gaps]
        self.seen = torch.tensor(seen, device=device)  # (batch, seq), 0 where padded

    @property
    def inputs(self) -> dict:
        """What `generate` needs to know."""
        return {
            "input_ids": self.ids,
            "attention_mask": self.seen,
            "streamer": _Heard(self.speakers),
            "logits_processor": LogitsProcessorList([_Chosen(self.speakers)]),
            "stopping_criteria": StoppingCriteriaList([_Over(self.speakers)]),
        }


class _Heard(BaseStreamer):
    """Receives each token in the thread that generates, so an error there cannot leave anyone waiting."""

    def __init__(self, speakers: list[Speaker]):
        self.speakers = speakers
        self._is_prompt = True

    def put(self, value: torch.Tensor) -> None:
        if self._is_prompt:
            self._is_prompt = False
            return
        for speaker, token in zip(self.speakers, value.tolist(), strict=True):
            speaker.take(token)

    def end(self) -> None:
        """Nothing: an answer that fails never gets here."""


class _Chosen(LogitsProcessor):
    """Lets each row choose and leaves nothing else possible: `generate` has one way of choosing for all rows."""

    def __init__(self, speakers: list[Speaker]):
        self.speakers = speakers

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        rows = zip(self.speakers, input_ids.split(1), scores.split(1), strict=True)
        tokens = [speaker.choose(ids, row) for speaker, ids, row in rows]
        chosen = torch.full_like(scores, -torch.inf)
        chosen[range(len(tokens)), tokens] = 0
        return chosen


class _Over(StoppingCriteria):
    """Ends a row at its end, or when nobody listens any more."""

    def __init__(self, speakers: list[Speaker]):
        self.speakers = speakers

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor | None, **more) -> torch.Tensor:
        return torch.tensor([speaker.over for speaker in self.speakers], device=input_ids.device)
