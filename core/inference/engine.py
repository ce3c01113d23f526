"""Answers: tokens out of the model in memory, one answer at a time, as pieces of text while they come."""

from threading import Event
from typing import Protocol

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from core.errors import EngineError
from core.inference.choices import Target
from core.inference.cpu import share_cores
from core.inference.prompt import Prompt
from core.inference.protocol import ChatRequest
from core.inference.text import TextPieces
from core.inference.weights import Weights
from core.jobs.listing import live_jobs


class Listener(Protocol):
    """Whoever gets the answer; setting `cancelled` ends it at the next token."""

    cancelled: Event

    def say(self, text: str, tokens: int) -> None:
        """A piece of text, and how many tokens there are by now."""


class Engine:
    """Belongs to one thread."""

    def __init__(self) -> None:
        self.weights = Weights()

    def answer(self, ask: ChatRequest, target: Target, prompt: Prompt, listener: Listener) -> str:
        """Generate, telling the listener; the finish reason, `stop` or `length`. Raises StudioError."""
        if listener.cancelled.is_set():
            return "stop"
        if self.weights.device == "cpu":
            share_cores(with_others=any(job.status.at_work for job in live_jobs()))
        try:
            return self._generate(ask, target, prompt, listener)
        except torch.OutOfMemoryError:
            self.weights.unload()
            raise EngineError(
                "The GPU has no memory left for this answer. Stop what else uses it, shorten the conversation, or choose "
                "a smaller model."
            ) from None

    def _generate(self, ask: ChatRequest, target: Target, prompt: Prompt, listener: Listener) -> str:
        with self.weights.answering_as(prompt.found, target.adapter) as model, torch.inference_mode():
            ends = prompt.ends | _ends_of(model.generation_config)
            spoken = _Spoken(TextPieces(prompt.tokenizer, ask.stop), ends, listener)
            ids = torch.tensor([prompt.ids], device=model.device)  # (1, seq)
            # Always seeded: else an answer without a seed would follow from the seed of the one before.
            torch.manual_seed(torch.seed() if ask.seed is None else ask.seed)
            model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=_settings(ask, prompt, ends),
                streamer=spoken,
                stopping_criteria=StoppingCriteriaList([_Enough(spoken)]),
            )
        return spoken.finish()


class _Spoken(BaseStreamer):
    """Receives each token in the thread that generates, so an error there cannot leave anyone waiting."""

    def __init__(self, text: TextPieces, ends: frozenset[int], listener: Listener):
        self.text = text
        self.ends = ends
        self.listener = listener
        self.tokens = 0
        self.ended = False
        self._is_prompt = True

    def put(self, value: torch.Tensor) -> None:
        if self._is_prompt:
            self._is_prompt = False
        elif not self.over:
            self._take(int(value))

    def _take(self, token: int) -> None:
        self.tokens += 1
        self.ended = token in self.ends
        self.listener.say("" if self.ended else self.text.add(token), self.tokens)

    def end(self) -> None:
        """Nothing: an answer that fails never gets here."""

    def finish(self) -> str:
        """Say what was held back; the finish reason."""
        self.listener.say(self.text.rest(), self.tokens)
        return "stop" if self.ended or self.text.stopped else "length"

    @property
    def over(self) -> bool:
        return self.ended or self.text.stopped or self.listener.cancelled.is_set()


class _Enough(StoppingCriteria):
    """Ends the generation at a stop text, or when nobody listens any more."""

    def __init__(self, spoken: _Spoken):
        self.spoken = spoken

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor | None, **more) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self.spoken.over, device=input_ids.device, dtype=torch.bool)


def _settings(ask: ChatRequest, prompt: Prompt, ends: frozenset[int]) -> GenerationConfig:
    """What was asked for and nothing else: where a value is missing, `generate` takes the model's own defaults."""
    chance = {"temperature": ask.temperature, "top_p": ask.top_p, "top_k": 0} if ask.temperature else {}
    return GenerationConfig(
        max_new_tokens=min(ask.longest or prompt.room, prompt.room),
        do_sample=bool(chance),
        repetition_penalty=1.0,
        eos_token_id=sorted(ends) or None,
        pad_token_id=prompt.tokenizer.pad_token_id,
        use_cache=True,
        **chance,
    )


def _ends_of(settings: GenerationConfig) -> frozenset[int]:
    ends = settings.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or [])
