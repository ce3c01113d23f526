"""The OpenAI chat protocol: what a request may ask for, and the form of answers, chunks and errors."""

import time
import uuid
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from core.errors import EngineError, StudioError
from core.recipe_problems import sentence

Json = dict[str, Any]

# Settings that other clients send and that change nothing about an answer.
HARMLESS = {"user", "metadata", "store", "service_tier"}

# So many models are asked the same at once, at most.
MOST_MODELS = 4
MOST_STOPS = 4


class RequestError(EngineError):
    """A request that cannot be answered as it is; `status` is the HTTP one."""

    def __init__(self, message: str, status: int = 400, code: str = "invalid_request", param: str | None = None):
        self.status = status
        self.code = code
        self.param = param
        super().__init__(message)


def _plain_text(content: Any) -> Any:
    """Content may come in parts; those of text are joined, any other is left to be refused."""
    if not isinstance(content, list):
        return content
    texts = [part.get("text") if isinstance(part, dict) else None for part in content]
    return "".join(texts) if texts and all(isinstance(text, str) for text in texts) else content


def _several(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


def _older(role: Any) -> Any:
    """The protocol's newer name for a system turn as chat templates know it."""
    return "system" if role == "developer" else role


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
    role: Annotated[Literal["system", "user", "assistant"], BeforeValidator(_older)]
    content: Annotated[Text, BeforeValidator(_plain_text)]
    name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        """An answer that a client gives back has a null for all it could have had: tool calls, a refusal, audio."""
        return (
            {key: value for key, value in values.items() if value is not None} if isinstance(values, dict) else values
        )


class StreamOptions(Asked):
    include_usage: bool = False
    continuous_usage_stats: bool = Field(False, description="usage in every chunk; vLLM's name for it")


class PlainFormat(Asked):
    """An answer is text; another form cannot be asked for."""

    type: Literal["text"] = "text"


class Sampled(Asked):
    """How an answer is written; defaults are the protocol's. The names that it does not know are vLLM's."""

    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0, description="only so many of the likeliest tokens; 0: all")
    min_p: float = Field(0, ge=0, le=1, description="only tokens at least so likely, as a share of the likeliest")
    repetition_penalty: float = Field(1.0, gt=0, le=10, description="over 1: tokens that were there are less likely")
    max_tokens: int | None = Field(None, ge=1, description="empty: until the context is full")
    max_completion_tokens: int | None = Field(None, ge=1, description="the protocol's newer name for max_tokens")
    seed: int | None = Field(None, ge=0, lt=2**63)
    stop: Annotated[
        list[Annotated[Text, Field(min_length=1)]], BeforeValidator(_several), Field(max_length=MOST_STOPS)
    ] = []

    bits: Literal[4, 8, 16] = Field(
        16, description="the base's linear layers in so many bits each: less memory, slower"
    )
    continue_final_message: bool = Field(False, description="go on with the last message, which is an assistant's")

    @property
    def longest(self) -> int | None:
        """The most tokens an answer may have."""
        return self.max_completion_tokens or self.max_tokens


class ChatRequest(Sampled):
    """The body of `POST /v1/chat/completions`."""

    model: Text
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: int = Field(1, ge=1, le=1)
    frequency_penalty: float = Field(0, ge=0, le=0)
    presence_penalty: float = Field(0, ge=0, le=0)
    # Some clients say what they do not want.
    logprobs: Literal[False] = False
    response_format: PlainFormat = PlainFormat()
    add_generation_prompt: bool | None = Field(None, description="what vLLM wants beside continue_final_message: false")

    @model_validator(mode="after")
    def _begins_an_answer_or_goes_on(self) -> Self:
        if self.add_generation_prompt is self.continue_final_message:
            raise ValueError(
                "add_generation_prompt: an answer is begun (true) or goes on with the last message "
                "(false, and continue_final_message true)"
            )
        return self


class CompareRequest(Sampled):
    """The body of `POST /v1/compare`: the same question for up to four models, answered side by side."""

    models: list[Text] = Field(min_length=1, max_length=MOST_MODELS)
    messages: list[Message] = Field(min_length=1)
    histories: list[list[Message]] = Field([], description="what came before `messages`, for each model its own")

    @model_validator(mode="after")
    def _as_many_histories_as_models(self) -> Self:
        if self.histories and len(self.histories) != len(self.models):
            raise ValueError(f"histories: there must be one for each of the {len(self.models)} models, or none at all")
        return self

    @property
    def conversations(self) -> list[list[Message]]:
        """What each model reads."""
        return [history + self.messages for history in self.histories or [[] for _ in self.models]]


class PromptRequest(Asked):
    """The body of `POST /v1/prompt`: the conversation that is to be seen as the model reads it."""

    model: Text
    messages: list[Message] = Field(min_length=1)


Request = TypeVar("Request", ChatRequest, CompareRequest, PromptRequest)


def parse(values: Any, kind: type[Request] = ChatRequest) -> Request:
    """A request from its JSON; raises RequestError with every problem."""
    if not isinstance(values, dict):
        raise RequestError(f"A request is a JSON object with {_needed(kind)}.")
    given = {key: value for key, value in values.items() if value is not None and key not in HARMLESS}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        problems = error.errors()
        param = next((str(problem["loc"][0]) for problem in problems if problem["loc"]), None)
        raise RequestError(" ".join(_in_words(problem, kind) for problem in problems), param=param) from None


def _needed(kind: type[Request]) -> str:
    return " and ".join(f"`{name}`" for name, field in kind.model_fields.items() if field.is_required())


def _in_words(problem: ErrorDetails, kind: type[Request]) -> str:
    """One problem; those of the whole request speak for themselves."""
    return sentence(problem, kind) if problem["loc"] else f"{problem['ctx']['error']}."


def error_body(message: str, status: int, code: str, param: str | None = None) -> Json:
    """An error as every OpenAI client expects it."""
    kind = "server_error" if status >= 500 else "authentication_error" if status == 401 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def status_of(error: StudioError) -> int:
    return error.status if isinstance(error, RequestError) else 500


def error_of(error: StudioError) -> Json:
    if isinstance(error, RequestError):
        return error_body(str(error), error.status, error.code, error.param)
    return error_body(str(error), 500, "engine_failed")


class Reply:
    """The forms of one answer: whole, or in chunks that share an id. In a comparison all carry the model's index."""

    def __init__(self, model: str, prompt_tokens: int, options: StreamOptions, index: int | None = None):
        self.model = model
        self.prompt_tokens = prompt_tokens
        self.options = options
        self.index = index
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())

    def whole(self, text: str, tokens: int, reason: str) -> Json:
        message = {"role": "assistant", "content": text}
        choice = self._choice(reason) | {"message": message}
        return self._object("chat.completion", [choice]) | {"usage": self._usage(tokens)}

    def chunk(self, delta: Json, tokens: int, reason: str | None = None) -> Json:
        choice = self._choice(reason) | {"delta": delta}
        return self._object("chat.completion.chunk", [choice]) | self._usage_in_chunk(tokens)

    def usage_chunk(self, tokens: int) -> Json:
        """The last chunk, for those who asked: the numbers and no text."""
        return self._object("chat.completion.chunk", []) | {"usage": self._usage(tokens)}

    def error(self, error: StudioError) -> Json:
        return error_of(error) | self._which

    @property
    def _which(self) -> Json:
        return {} if self.index is None else {"index": self.index}

    def _choice(self, reason: str | None) -> Json:
        return {"index": self.index or 0, "logprobs": None, "finish_reason": reason}

    def _object(self, kind: str, choices: list[Json]) -> Json:
        made = {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}
        return made | self._which

    def _usage(self, tokens: int) -> Json:
        total = self.prompt_tokens + tokens
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": tokens, "total_tokens": total}

    def _usage_in_chunk(self, tokens: int) -> Json:
        if self.options.continuous_usage_stats:
            return {"usage": self._usage(tokens)}
        return {"usage": None} if self.options.include_usage else {}
