"""Answers: tokens out of the model in memory, as pieces of text while they come, several models' side by side."""

from collections.abc import Iterator
from itertools import groupby

import torch
from transformers import GenerationConfig

from core.errors import EngineError, ModelError, StudioError
from core.inference.batch import Batch, Row
from core.inference.cpu import share_cores
from core.inference.weights import Weights
from core.jobs.listing import live_jobs

Named = tuple[Row, str]  # a row, and the name in PEFT of who answers it


class Engine:
    """Belongs to one thread."""

    def __init__(self) -> None:
        self.weights = Weights()

    def answer(self, rows: list[Row]) -> None:
        """Answer the rows together, as far as they share a base, and tell each listener how its answer ends."""
        if self.weights.device == "cpu":
            share_cores(with_others=any(job.status.at_work for job in live_jobs()))
        waiting = [row for row in rows if not row.listener.cancelled.is_set()]
        for _, group in groupby(sorted(waiting, key=_base), key=_base):
            self._answer_on_one_base(list(group))

    def _answer_on_one_base(self, rows: list[Row]) -> None:
        try:
            for batch in self._batches(self._named(rows)):
                self._generate(batch)
        except torch.OutOfMemoryError:
            self.weights.unload()
            _fail(
                rows,
                EngineError(
                    "The GPU has no memory left for this answer. Stop what else uses it, shorten the conversation, or "
                    "choose a smaller model."
                ),
            )

    def _named(self, rows: list[Row]) -> list[Named]:
        """The rows whose model is in memory now; those that cannot be loaded fail alone."""
        named = []
        for row in rows:
            try:
                named.append((row, self.weights.name_of(row.prompt.found, row.target.adapter)))
            except ModelError as error:
                row.listener.fail(error)
                # What failed to load may have taken the others out of memory with it.
                return self._named([other for other in rows if other is not row])
        return named

    def _batches(self, named: list[Named]) -> Iterator[list[Named]]:
        """All in one, but for those adapters with which PEFT cannot mix."""
        if together := [one for one in named if self.weights.mixes(one[1])]:
            yield together
        yield from ([one] for one in named if not self.weights.mixes(one[1]))

    def _generate(self, named: list[Named]) -> None:
        rows, names = zip(*named, strict=True)
        model = self.weights.model
        batch = Batch(list(rows), _ends_of(model.generation_config), model.device)
        with torch.inference_mode():
            self.weights.generate(list(names), generation_config=_settings(batch), **batch.inputs)


def _base(row: Row) -> str:
    return str(row.prompt.found)


def _fail(rows: list[Row], error: StudioError) -> None:
    for row in rows:
        row.listener.fail(error)


def _settings(batch: Batch) -> GenerationConfig:
    """Rows choose their tokens and end by themselves; where a value is missing, `generate` takes the model's own."""
    return GenerationConfig(
        max_new_tokens=max(speaker.most_tokens for speaker in batch.speakers),
        do_sample=False,
        repetition_penalty=1.0,
        pad_token_id=batch.padding,
        use_cache=True,
    )


def _ends_of(settings: GenerationConfig) -> frozenset[int]:
    ends = settings.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or [])
