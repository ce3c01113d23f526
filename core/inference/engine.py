"""Answers: tokens out of the model in memory, as pieces of text while they come, several models' side by side.

Requests take turns of a fraction of a second, so that a long answer makes nobody wait for its end. They do not share
batches: in the numbers of a CPU or GPU the shape of a batch shows, and the same question would be answered differently
beside others.
"""

import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch

from core.errors import EngineError, ModelError, StudioError
from core.inference import decode
from core.inference.batch import Batch, Row
from core.inference.cpu import share_cores
from core.inference.weights import Weights
from core.jobs.listing import live_jobs
from core.models.give_back import give_back
from core.models.load import Found

TURN_S = 0.25
# So many take turns; each has what it read and wrote in memory. Others wait in the order in which they came.
MOST_OPEN = 4

TOO_MUCH = (
    "The GPU has no memory left for this answer. Stop what else uses it, shorten the conversation, or choose a smaller "
    "model."
)

Named = tuple[Row, str]  # a row, and the name of who answers it


class Work:
    """Rows of one request and one base, which are answered together."""

    def __init__(self, engine: "Engine", rows: list[Row]):
        self.engine = engine
        self.rows = rows
        self.found: Found = rows[0].prompt.found
        self.bits = rows[0].ask.bits
        self.names: set[str] = set()  # who answers
        self.tokens: Iterator[None] | None = None  # once it has begun

    @property
    def wanted(self) -> bool:
        return not all(row.listener.cancelled.is_set() for row in self.rows)

    def turn(self) -> bool:
        """Write on for a moment; whether there may be more. Raises whatever goes wrong, and is over then."""
        return self.engine.turn(self)

    def pause(self) -> None:
        for row in self.rows:
            row.listener.pause()

    def fail(self, error: StudioError) -> None:
        for row in self.rows:
            row.listener.fail(error)


class Engine:
    """Belongs to one thread, in which all works have their turns."""

    def __init__(self) -> None:
        self.weights = Weights()
        self._line: list[Work] = []  # those that are not over, in the order of their first turn

    def works(self, rows: list[Row]) -> list[Work]:
        """What has to be done for a request: those rows together that share a base."""
        by_base: dict[Found, list[Row]] = {}
        for row in rows:
            by_base.setdefault(row.prompt.found, []).append(row)
        return [Work(self, rows) for rows in by_base.values()]

    @property
    def open(self) -> list[Work]:
        """Those that have begun."""
        return [work for work in self._line if work.tokens is not None]

    @property
    def state(self) -> dict[str, Any]:
        """For whoever asks, from any thread."""
        found, line = self.weights.found, list(self._line)
        return {
            "loaded": str(found.folder) if found else None,
            "bits": self.weights.bits if found else None,
            "held_bytes": self.weights.held_bytes if found else 0,
            "adapters": len(self.weights.adapters),
            "answering": sum(work.tokens is not None for work in line),
            "waiting": sum(work.tokens is None for work in line),
        }

    def turn(self, work: Work) -> bool:
        if work not in self._line:
            self._line.append(work)
        more = too_much = False
        try:
            more = self._turn(work)
        except torch.OutOfMemoryError:
            work.fail(EngineError(TOO_MUCH))
            too_much = True
        finally:
            if not more:
                self._end(work)
        if too_much:  # only now, when nothing refers any more to what it held
            give_back()
        return more

    def unload(self) -> bool:
        """Free the model's memory, unless an answer is being written with it; whether that is so."""
        if not self.open:
            self.weights.unload()
        return bool(self.open)

    def _turn(self, work: Work) -> bool:
        if not work.wanted:
            return False
        if work.tokens is None:
            if not self._may_begin(work):
                return True
            self.weights.hold(work.found, work.bits)
            work.tokens = self._tokens(work)
        if self.weights.device == "cpu":
            share_cores(with_others=any(job.status.at_work for job in live_jobs()))
        return self._write(work)

    def _may_begin(self, work: Work) -> bool:
        """Nobody overtakes; and the one base in memory changes only between answers."""
        first = next(waiting for waiting in self._line if waiting.tokens is None)
        fits = not self.open or self.weights.holds(work.found, work.bits)
        return work is first and fits and len(self.open) < MOST_OPEN

    def _write(self, work: Work) -> bool:
        until = time.monotonic() + TURN_S
        with torch.inference_mode():
            for _ in work.tokens:
                if time.monotonic() > until:
                    work.pause()
                    return True
        return False

    def _end(self, work: Work) -> None:
        """Let go of what it read and wrote, and of what only it spoke with."""
        self._line.remove(work)
        work.tokens = None
        if not self.open:
            self.weights.keep_silent()

    def _tokens(self, work: Work) -> Iterator[None]:
        named = self._named(work, work.rows)
        work.names = {name for _, name in named}
        yield from chain.from_iterable(map(self._generate, self._batches(named)))

    def _named(self, work: Work, rows: list[Row]) -> list[Named]:
        """The rows whose model is in memory now; those that cannot be loaded fail alone."""
        self.weights.hold(work.found, work.bits)
        names: list[str] = []
        for row in rows:
            in_use = {*names, *(name for other in self.open for name in other.names)}
            try:
                names.append(self.weights.name_of(row.target.adapter, in_use))
            except ModelError as error:
                row.listener.fail(error)
                # What failed to load may have taken the others out of memory with it.
                return self._named(work, [other for other in rows if other is not row])
        return list(zip(rows, names, strict=True))

    def _batches(self, named: list[Named]) -> Iterator[list[Named]]:
        """All in one, but for those adapters that cannot share one."""
        if together := [one for one in named if self.weights.mixes(one[1])]:
            yield together
        yield from ([one] for one in named if not self.weights.mixes(one[1]))

    def _generate(self, named: list[Named]) -> Iterator[None]:
        rows, names = zip(*named, strict=True)
        model = self.weights.base
        batch = Batch(list(rows), _ends_of(model), model.device)
        self.weights.speak_as(names)
        for _ in decode.tokens(model, batch):
            yield
            if self.weights.base is not model:
                raise EngineError("The model was taken out of memory while it answered. Send the message again.")
            self.weights.speak_as(names)  # others had their turn


def _ends_of(model: torch.nn.Module) -> frozenset[int]:
    ends = model.generation_config.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or [])
