"""Ask the chat engine and read its answer piece by piece. Plain HTTP: torch never."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Literal, TypeVar

import httpx2

from core import home
from core.errors import EngineError
from core.inference.process import Engine

RENEWED_WITHIN_S = 60.0
# A stream has a sign of life every second after its first five; whatever else is asked may wait for a download.
PATIENCE = httpx2.Timeout(10, read=600)
# For a page, which is drawn without it if the engine is too busy to answer.
GLANCE = httpx2.Timeout(1)

Messages = list[dict[str, str]]
Bits = Literal[4, 8, 16]  # in which the base's linear layers are held: fewer take less memory, and are slower


@dataclass(frozen=True)
class Sampling:
    """How words are chosen, and how many at most. The fields of `core/inference/protocol.py` say what each does."""

    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 256
    seed: int | None = None
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()


@dataclass
class Stats:
    """Of one answer, up to date while it comes; `finish_reason` is stop, length, or cancelled."""

    prompt_tokens: int = 0
    tokens: int = 0
    seconds_to_first: float | None = None
    finish_reason: str | None = None
    started: float = field(default_factory=time.monotonic, repr=False)
    first_tokens: int = 0
    newest_s: float = 0.0

    @property
    def tokens_per_s(self) -> float | None:
        """Speed after the first text; loading and reading the prompt do not count."""
        seconds = self.newest_s - (self.seconds_to_first or 0)
        return (self.tokens - self.first_tokens) / seconds if seconds > 0 and self.tokens > self.first_tokens else None

    def take(self, event: dict[str, Any]) -> str:
        """Take the numbers of a chunk; its text."""
        choice = event["choices"][0] if event["choices"] else {}
        text = choice.get("delta", {}).get("content") or ""
        self.update(event["usage"], text)
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        return text

    def update(self, usage: dict[str, int], text: str) -> None:
        self.prompt_tokens, self.tokens = usage["prompt_tokens"], usage["completion_tokens"]
        if text:
            self.newest_s = time.monotonic() - self.started
        if text and self.seconds_to_first is None:
            self.seconds_to_first, self.first_tokens = self.newest_s, self.tokens


Piece = TypeVar("Piece")


class Answers(Generic[Piece]):
    """A request on its way. Iterate it once, to the end or until `close`; raises EngineError where the engine refuses or dies."""

    path: str
    quiet: Piece  # what comes when nothing new came for a second

    def __init__(self, engine: Engine, request: dict[str, Any]):
        self._pieces = self._read(engine, request)
        self._closed = False
        self.all_stats = self._begin()

    def __iter__(self) -> Iterator[Piece]:
        return self._pieces

    def close(self) -> None:
        """Stop: the engine ends what it computes when the connection is gone. From another thread within a second."""
        self._closed = True
        for stats in self.all_stats:
            stats.finish_reason = stats.finish_reason or "cancelled"
        if not self._pieces.gi_running:
            self._pieces.close()

    def _begin(self) -> list[Stats]:
        """The numbers of every answer, none yet."""
        raise NotImplementedError

    def _piece(self, event: dict[str, Any]) -> Piece | None:
        """What an event says, if it is text; of several answers also that one has ended."""
        raise NotImplementedError

    def _read(self, engine: Engine, request: dict[str, Any]) -> Iterator[Piece]:
        self.all_stats = self._begin()
        try:
            with (
                engine.client(PATIENCE) as client,
                client.stream("POST", self.path, json=request) as response,
            ):
                _check(response)
                yield from self._pieces_in(response.iter_lines())
        except httpx2.TransportError as error:
            raise EngineError(_broken(error)) from None

    def _pieces_in(self, lines: Iterator[str]) -> Iterator[Piece]:
        for line in lines:
            if self._closed or line == "data: [DONE]":
                return
            if line.startswith(":"):
                yield self.quiet
            elif line.startswith("data: ") and (piece := self._piece(json.loads(line.removeprefix("data: ")))):
                yield piece
        raise EngineError(_broken(None))


class Stream(Answers[str]):
    """One answer; "" means that nothing new came for a second, so look at the Stop button."""

    path = "/v1/chat/completions"
    quiet = ""

    @property
    def stats(self) -> Stats:
        return self.all_stats[0]

    def _begin(self) -> list[Stats]:
        return [Stats()]

    def _piece(self, event: dict[str, Any]) -> str | None:
        if "error" in event:
            raise EngineError(event["error"]["message"])
        return self.stats.take(event)


class Comparison(Answers[tuple[int, str]]):
    """Answers of several models side by side: (index of the model, text), "" where it has ended, and (0, "") where nothing
    new came.

    `all_stats` are their numbers, in their order; `errors` has a sentence for each that failed while others went on.
    """

    path = "/v1/compare"
    quiet = (0, "")

    def __init__(self, engine: Engine, request: dict[str, Any]):
        self.errors: list[str | None] = [None for _ in request["models"]]
        super().__init__(engine, request)

    def _begin(self) -> list[Stats]:
        return [Stats() for _ in self.errors]

    def ended(self, index: int) -> bool:
        """Whether this model's answer is whole, or has failed."""
        return bool(self.all_stats[index].finish_reason or self.errors[index])

    def _piece(self, event: dict[str, Any]) -> tuple[int, str] | None:
        index = event["index"]
        if "error" in event:
            self.errors[index] = event["error"]["message"]
            return index, ""
        text = self.all_stats[index].take(event)
        return (index, text) if text or self.ended(index) else None


@dataclass(frozen=True)
class State:
    """What the engine has in memory: the folder of the base, its bits and its bytes, adapters on it, bytes of its process.

    `lives` is how often that process has begun.
    """

    loaded: str | None
    bits: int | None
    held_bytes: int
    adapters: int
    answering: int
    waiting: int
    memory_bytes: int
    lives: int


def state(engine: Engine, patience: httpx2.Timeout = PATIENCE) -> State:
    """What the engine does now; raises EngineError."""
    return State(**_told(engine, "GET", "/v1/engine", patience=patience))


def unload(engine: Engine) -> State:
    """Free the memory of the model, once nobody is being answered any more; raises EngineError.

    Returns once an engine that begins anew is there again.
    """
    told = _told(engine, "POST", "/v1/unload")
    renews, found = told.pop("renews"), State(**told)
    until = time.monotonic() + RENEWED_WITHIN_S
    while renews and found.lives == told["lives"]:
        if time.monotonic() > until:
            raise EngineError(
                "The chat engine has freed its memory, and did not come back. Ask again: it is started anew."
            )
        time.sleep(0.05)
        with suppress(EngineError):  # the last life may close the line that the next one answers
            found = state(engine)
    return found


def stream(engine: Engine, model_id: str, messages: Messages, sampling: Sampling, bits: Bits = 16) -> Stream:
    """An answer of a model to a conversation; asked when it is first iterated."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    asked = {"model": model_id, "messages": messages, "stream": True, "stream_options": options, "bits": bits}
    return Stream(engine, asked | _given(sampling))


def compare(
    engine: Engine,
    model_ids: list[str],
    messages: Messages,
    sampling: Sampling,
    histories: list[Messages] | None = None,
    bits: Bits = 16,
    go_on: bool = False,
) -> Comparison:
    """Answers of up to four models to the same messages, each after its own history; asked when first iterated.

    With `go_on` the last message is an answer so far, and they write what comes after it.
    """
    asked = {"models": model_ids, "messages": messages, "histories": histories or [], "bits": bits}
    return Comparison(engine, asked | {"continue_final_message": go_on} | _given(sampling))


@dataclass(frozen=True)
class Reading:
    """A conversation as a model reads it: the text of every token, its id, and whether only the template may write it.

    `context` is how many tokens the model reads at most, its answer included.
    """

    ids: list[int]
    pieces: list[str]
    special: list[bool]
    context: int


def reading(engine: Engine, model_id: str, messages: Messages) -> Reading:
    """What a model would read; nothing is answered. Raises EngineError."""
    return Reading(**_told(engine, "POST", "/v1/prompt", {"model": model_id, "messages": messages}))


def _told(
    engine: Engine, method: str, path: str, asked: dict[str, Any] | None = None, patience: httpx2.Timeout = PATIENCE
) -> dict[str, Any]:
    try:
        with engine.client(patience) as client:
            response = client.request(method, path, json=asked)
    except httpx2.TransportError as error:
        raise EngineError(_broken(error)) from None
    _check(response)
    return response.json()


def _given(sampling: Sampling) -> dict[str, Any]:
    return {key: value for key, value in asdict(sampling).items() if value is not None}


def _check(response: httpx2.Response) -> None:
    """Raise EngineError with the engine's sentence if it refused."""
    if response.is_success:
        return
    try:
        message = json.loads(response.read())["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = f"The chat engine answered {response.status_code}. Its log is {home.engine_log()}."
    raise EngineError(message)


def _broken(error: httpx2.TransportError | None) -> str:
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return "The chat engine is not running any more. Send the message again, and it is started anew."
    if isinstance(error, httpx2.ReadTimeout):
        return "The chat engine has said nothing for ten minutes. If it is downloading a model, try again in a while."
    return (
        "The chat engine ended in the middle of this answer; it may have run out of memory. Send the message again, or "
        f"choose a smaller model. Its log is {home.engine_log()}."
    )
