"""The OpenAI chat protocol: what a request may ask for, and the form of answers, chunks and errors."""

import time
import uuid
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from core.errors import EngineError
from core.recipe_problems import sentence

Json = dict[str, Any]

# Settings that other clients send and that change nothing about an answer.
HARMLESS = {"user", "metadata", "store", "service_tier"}


class RequestError(EngineError):
    """A request that cannot be answered as it is; `status` is the HTTP one."""

    def __init__(self, message: str, status: int = 400, code: str = "invalid_request"):
        self.status = status
        self.code = code
        super().__init__(message)


def _plain_text(content: Any) -> Any:
    """Content may come in parts; those of text are joined, any other is left to be refused."""
    if not isinstance(content, list):
        return content
    texts = [part.get("text") if isinstance(part, dict) else None for part in content]
    return "".join(texts) if texts and all(isinstance(text, str) for text in texts) else content


def _several(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


def _whole_characters(text: str) -> str:
    """JSON can carry half an emoji, which no tokenizer and no path can."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("it holds half a character")
    return text


Text = Annotated[str, AfterValidator(_whole_characters)]


class Asked(BaseModel):
    """A part of a request: what it does not know it refuses, so that nothing asked for is silently left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Message(Asked):
    role: Literal["system", "user", "assistant"]
    content: Annotated[Text, BeforeValidator(_plain_text)]
    name: str | None = None


class StreamOptions(Asked):
    include_usage: bool = False
    continuous_usage_stats: bool = Field(False, description="usage in every chunk; vLLM's name for it")


class ChatRequest(Asked):
    """The body of `POST /v1/chat/completions`; defaults are the protocol's."""

    model: Text
    messages: list[Message] = Field(min_length=1)
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1, description="empty: until the context is full")
    max_completion_tokens: int | None = Field(None, ge=1, description="the protocol's newer name for max_tokens")
    seed: int | None = Field(None, ge=0, lt=2**63)
    stop: Annotated[list[Annotated[Text, Field(min_length=1)]], BeforeValidator(_several), Field(max_length=4)] = []
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: int = Field(1, ge=1, le=1)
    frequency_penalty: float = Field(0, ge=0, le=0)
    presence_penalty: float = Field(0, ge=0, le=0)

    @property
    def longest(self) -> int | None:
        """The most tokens an answer may have."""
        return self.max_completion_tokens or self.max_tokens


def parse(values: Any) -> ChatRequest:
    """A request from its JSON; raises RequestError with every problem."""
    if not isinstance(values, dict):
        raise RequestError("A request is a JSON object with `model` and `messages`.")
    given = {key: value for key, value in values.items() if value is not None and key not in HARMLESS}
    try:
        return ChatRequest.model_validate(given)
    except ValidationError as error:
        raise RequestError(" ".join(sentence(problem, ChatRequest) for problem in error.errors())) from None


def error_body(message: str, status: int, code: str) -> Json:
    """An error as every OpenAI client expects it."""
    kind = "server_error" if status >= 500 else "authentication_error" if status == 401 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class Reply:
    """The forms of one answer: whole, or in chunks that share an id."""

    def __init__(self, ask: ChatRequest, prompt_tokens: int):
        self.ask = ask
        self.prompt_tokens = prompt_tokens
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())

    def whole(self, text: str, tokens: int, reason: str) -> Json:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return self._object("chat.completion", [choice]) | {"usage": self._usage(tokens)}

    def chunk(self, delta: Json, tokens: int, reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self._object("chat.completion.chunk", [choice]) | self._usage_in_chunk(tokens)

    def usage_chunk(self, tokens: int) -> Json:
        """The last chunk, for those who asked: the numbers and no text."""
        return self._object("chat.completion.chunk", []) | {"usage": self._usage(tokens)}

    def _object(self, kind: str, choices: list[Json]) -> Json:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.ask.model, "choices": choices}

    def _usage(self, tokens: int) -> Json:
        total = self.prompt_tokens + tokens
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": tokens, "total_tokens": total}

    def _usage_in_chunk(self, tokens: int) -> Json:
        options = self.ask.stream_options
        if options.continuous_usage_stats:
            return {"usage": self._usage(tokens)}
        return {"usage": None} if options.include_usage else {}
