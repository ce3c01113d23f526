"""Several answers out of one batch: each row with its own way to choose, its own ends, and somebody who listens."""

from dataclasses import dataclass
from threading import Event
from typing import Protocol

import torch

from core.errors import EngineError, StudioError
from core.inference.choices import Target
from core.inference.prompt import Prompt
from core.inference.protocol import Sampled
from core.inference.sampling import Sampler
from core.inference.text import TextPieces

# Tokens of an answer so far that are looked at for how its next one is written.
BEFORE = 8


class Listener(Protocol):
    """Whoever gets the answer; setting `cancelled` ends it at the next token."""

    cancelled: Event

    def say(self, text: str, tokens: int) -> None:
        """A piece of text, and how many tokens there are by now."""

    def pause(self) -> None:
        """Others have their turn now: there may be nothing more for a while."""

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
        before = row.prompt.ids[-BEFORE:] if row.prompt.begun else ()
        self.text = TextPieces(row.prompt.tokenizer, row.ask.stop, before, row.prompt.begun)
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
    def over(self) -> bool:
        """Whether nobody waits for more."""
        return all(speaker.over for speaker in self.speakers)

    def choose(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The next token of each row, (batch,), after `ids`, (batch, seq), from its scores, (batch, vocabulary)."""
        rows = zip(self.speakers, ids.split(1), scores.split(1), strict=True)
        chosen = [speaker.choose(seen, row) for speaker, seen, row in rows]
        for speaker, token in zip(self.speakers, chosen, strict=True):
            speaker.take(token)
        return torch.tensor(chosen, device=self.device)
