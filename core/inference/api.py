"""What the chat engine answers over HTTP: its models, and conversations, whole or as a stream."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from core.errors import StudioError
from core.hardware import memory_use_of
from core.inference.adapters import resolved
from core.inference.answering import SIGN_OF_LIFE_S, Answering, News, Pane
from core.inference.batch import Row
from core.inference.choices import Target, choices, target_of
from core.inference.engine import Engine, Work
from core.inference.prompt import Prompt, forget, read
from core.inference.prompt_tokens import as_read
from core.inference.protocol import (
    CompareRequest,
    Message,
    PromptRequest,
    Reply,
    RequestError,
    Sampled,
    StreamOptions,
    error_body,
    error_of,
    parse,
    status_of,
)

LARGEST_REQUEST_BYTES = 8_000_000
# After that a stream begins with signs of life, and whatever comes then comes in it, a refusal too.
REFUSED_WITHIN_S = 5.0
# A line that begins with a colon is a comment: nothing new, but still here.
WAITING, DONE = ": waiting\n\n", "data: [DONE]\n\n"

Begun = tuple[Answering, list[Reply]]


def models(request: Request) -> Response:
    """`GET /v1/models`: everything that can answer here."""
    rows = [{"id": m.id, "object": "model", "created": 0, "owned_by": m.base, "name": m.label} for m in choices()]
    return JSONResponse({"object": "list", "data": rows})


async def complete(request: Request) -> Response:
    """`POST /v1/chat/completions`, whole or as a stream; what cannot be answered is refused before anything is loaded."""
    ask = parse(await _json(request))

    async def begun() -> Begun:
        ((target, prompt),) = await _read(ask, [(ask.model, ask.messages)], "model")
        return _begin(request, ask, [(target, prompt)]), [Reply(ask.model, len(prompt.ids), ask.stream_options)]

    if ask.stream:
        return await _streamed(begun(), [{}])
    answering, (reply,) = await begun()
    return await _whole(request, answering, reply)


async def compare(request: Request) -> Response:
    """`POST /v1/compare`: up to four models answer the same side by side, as a stream; each event has its model's index."""
    ask = parse(await _json(request), CompareRequest)

    async def begun() -> Begun:
        prompts = await _read(ask, zip(ask.models, ask.conversations, strict=True), "models")
        replies = [
            Reply(model, len(prompt.ids), StreamOptions(continuous_usage_stats=True), index)
            for index, (model, (_, prompt)) in enumerate(zip(ask.models, prompts, strict=True))
        ]
        return _begin(request, ask, prompts), replies

    return await _streamed(begun(), [{"index": index} for index in range(len(ask.models))])


async def prompt(request: Request) -> Response:
    """`POST /v1/prompt`: what a model would read, as tokens; nothing is answered."""
    ask = parse(await _json(request), PromptRequest)
    target = await run_in_threadpool(_target, ask.model, "model")
    found = await run_in_threadpool(read, target, ask.messages)
    return JSONResponse(await run_in_threadpool(as_read, found))


async def _read(ask: Sampled, asked: Iterable[tuple[str, list[Message]]], param: str) -> list[tuple[Target, Prompt]]:
    """Who answers, all of them first, and what each reads; that may download a model."""
    targets = [(await run_in_threadpool(_target, model, param), messages) for model, messages in asked]
    go_on = ask.continue_final_message
    return [(target, await run_in_threadpool(read, target, messages, go_on)) for target, messages in targets]


def _target(model: str, param: str) -> Target:
    """Who answers; raises RequestError, and ModelError for an adapter without its base."""
    target = target_of(model)
    if target is None:
        raise RequestError(
            f"There is no model {model!r} here. Give a run, RUN@STEP, a Hub id, a model folder or `starter`; "
            "/v1/models lists what is known.",
            status=404,
            code="model_not_found",
            param=param,
        )
    return resolved(target)


def _begin(request: Request, ask: Sampled, prompts: list[tuple[Target, Prompt]]) -> Answering:
    """Line up for the engine."""
    engine: Engine = request.app.state.engine

    def works(panes: list[Pane]) -> list[Work]:
        return engine.works([Row(ask, *prompt, pane) for prompt, pane in zip(prompts, panes, strict=True)])

    return Answering(works, request.app.state.pool, len(prompts))


def engine_state(request: Request) -> Response:
    """`GET /v1/engine`: what is in memory, and how much that is; what is being answered."""
    return JSONResponse(_state(request))


def _state(request: Request) -> dict[str, Any]:
    state = request.app.state
    return state.engine.state | {"memory_bytes": memory_use_of(os.getpid()), "lives": state.life.number}


async def unload(request: Request) -> Response:
    """`POST /v1/unload`: free the model's memory, after the answers that are being written; then as `GET /v1/engine`.

    Where nobody else is here, the process then begins anew (`renews`): the next life has one more in `lives`.
    """
    engine: Engine = request.app.state.engine
    await run_in_threadpool(forget)
    while await asyncio.wrap_future(request.app.state.pool.submit(engine.unload)):
        await asyncio.sleep(0.05)
    state = await run_in_threadpool(_state, request)
    return JSONResponse(state | {"renews": request.app.state.life.ends_here()})


async def _json(request: Request) -> Any:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_REQUEST_BYTES:
            raise RequestError("The request is longer than 8 MB.", status=413, code="request_too_large")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError("The request is not JSON.") from None


async def _whole(request: Request, answering: Answering, reply: Reply) -> Response:
    texts = []
    try:
        async for news in answering.news():
            if await request.is_disconnected():
                raise ClientDisconnect
            if news and news.error:
                raise news.error
            if news and news.reason:
                return JSONResponse(reply.whole("".join(texts), news.tokens, news.reason))
            texts.append(news.text if news else "")
    finally:
        answering.cancel()
    raise ClientDisconnect  # only what nobody waits for ends without a last word


async def _streamed(beginning: Coroutine[Any, Any, Begun], whose: list[dict[str, int]]) -> Response:
    """The answers as a stream. What cannot be answered is refused, as long as that is known soon: a model may be downloaded first.

    `whose` tells the errors of several answers apart.
    """
    task = asyncio.create_task(beginning)
    await asyncio.wait({task}, timeout=REFUSED_WITHIN_S)
    if task.done():
        task.result()  # or the refusal
    return EventStream(task, whose)


class EventStream(StreamingResponse):
    """Answers as server-sent events; whatever ends it, its computation ends too."""

    def __init__(self, beginning: asyncio.Task[Begun], whose: list[dict[str, int]]):
        self.beginning = beginning
        headers = {"Cache-Control": "no-store"}
        super().__init__(_from_the_beginning(beginning, whose), media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if not self.beginning.cancel() and not self.beginning.exception():
                self.beginning.result()[0].cancel()


async def _from_the_beginning(beginning: asyncio.Task[Begun], whose: list[dict[str, int]]) -> AsyncIterator[str]:
    """Signs of life until it is known what is answered, then the answers."""
    while not (await asyncio.wait({beginning}, timeout=SIGN_OF_LIFE_S))[0]:
        yield WAITING
    try:
        answering, replies = beginning.result()
    except StudioError as error:
        for which in whose:
            yield _event(error_of(error) | which)
        if len(whose) > 1:
            yield DONE
        return
    async for event in events(answering, replies):
        yield event


async def events(answering: Answering, replies: list[Reply]) -> AsyncIterator[str]:
    """The roles, the text, the reasons, the numbers if asked for, the end; or an error instead of what is left."""
    for reply in replies:
        yield _event(reply.chunk({"role": "assistant", "content": ""}, 0))
    async for news in answering.news():
        if news and news.last:
            for event in _last_events(replies[news.index], news):
                yield _event(event)
            if news.error and len(replies) == 1:
                return
        else:
            text = news and news.text
            yield _event(replies[news.index].chunk({"content": text}, news.tokens)) if text else WAITING
    yield DONE


def _last_events(reply: Reply, news: News) -> list[dict[str, Any]]:
    if news.error:
        return [reply.error(news.error)]
    numbers = [reply.usage_chunk(news.tokens)] if reply.options.include_usage else []
    return [reply.chunk({}, news.tokens, news.reason), *numbers]


def _event(values: dict[str, Any]) -> str:
    return f"data: {json.dumps(values)}\n\n"


def _sentence(request: Request, error: StudioError) -> Response:
    return JSONResponse(error_of(error), status_of(error))


def _http(request: Request, error: HTTPException) -> Response:
    return JSONResponse(error_body(f"{error.detail}: {request.url.path}", error.status_code, "http"), error.status_code)


def _gone(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=499)  # nobody reads it


def _bug(request: Request, error: Exception) -> Response:
    message = f"The engine has a bug here: {type(error).__name__}: {error}. Its log has the details."
    return JSONResponse(error_body(message, 500, "engine_failed"), 500)


ROUTES = [
    Route("/v1/models", models),
    Route("/v1/chat/completions", complete, methods=["POST"]),
    Route("/v1/compare", compare, methods=["POST"]),
    Route("/v1/engine", engine_state),
    Route("/v1/unload", unload, methods=["POST"]),
    Route("/v1/prompt", prompt, methods=["POST"]),
]
IN_WORDS = {StudioError: _sentence, HTTPException: _http, ClientDisconnect: _gone, Exception: _bug}
