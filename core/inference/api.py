"""What the chat engine answers over HTTP: its models, and conversations, whole or as a stream."""

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from core.errors import StudioError
from core.inference import prompt as prompts
from core.inference.answering import Answering
from core.inference.choices import choices, target_of
from core.inference.protocol import Reply, RequestError, error_body, parse

LARGEST_REQUEST_BYTES = 8_000_000


def models(request: Request) -> Response:
    """`GET /v1/models`: everything that can answer here."""
    rows = [{"id": m.id, "object": "model", "created": 0, "owned_by": m.base, "name": m.label} for m in choices()]
    return JSONResponse({"object": "list", "data": rows})


async def complete(request: Request) -> Response:
    """`POST /v1/chat/completions`, whole or as a stream; what cannot be answered is refused before anything is loaded."""
    ask = parse(await _json(request))
    target = await run_in_threadpool(target_of, ask.model)
    if target is None:
        raise RequestError(
            f"There is no model {ask.model!r} here. Give a run, RUN@STEP, a Hub id, a model folder or `starter`; "
            "/v1/models lists what is known.",
            status=404,
            code="model_not_found",
        )
    prompt = await run_in_threadpool(prompts.read, target, ask.messages)
    state = request.app.state
    answering = Answering(partial(state.engine.answer, ask, target, prompt), state.pool)
    reply = Reply(ask, len(prompt.ids))
    return EventStream(answering, reply) if ask.stream else await _whole(request, answering, reply)


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
        async for text in answering.pieces():
            texts.append(text)
            if await request.is_disconnected():
                raise ClientDisconnect
    finally:
        answering.cancel()
    return JSONResponse(reply.whole("".join(texts), answering.tokens, answering.reason))


class EventStream(StreamingResponse):
    """An answer as server-sent events; whatever ends it, its computation ends too."""

    def __init__(self, answering: Answering, reply: Reply):
        self.answering = answering
        headers = {"Cache-Control": "no-store"}
        super().__init__(events(answering, reply), media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.answering.cancel()


async def events(answering: Answering, reply: Reply) -> AsyncIterator[str]:
    """The role, the text, the reason, the numbers if asked for, the end; or an error instead of what is left."""
    yield _event(reply.chunk({"role": "assistant", "content": ""}, 0))
    try:
        async for text in answering.pieces():
            # A line that begins with a colon is a comment: nothing new, but still here.
            yield _event(reply.chunk({"content": text}, answering.tokens)) if text else ": waiting\n\n"
    except StudioError as error:
        yield _event(error_body(str(error), *_status(error)))
        return
    yield _event(reply.chunk({}, answering.tokens, answering.reason))
    if reply.ask.stream_options.include_usage:
        yield _event(reply.usage_chunk(answering.tokens))
    yield "data: [DONE]\n\n"


def _event(values: dict[str, Any]) -> str:
    return f"data: {json.dumps(values)}\n\n"


def _status(error: StudioError) -> tuple[int, str]:
    return (error.status, error.code) if isinstance(error, RequestError) else (500, "engine_failed")


def _sentence(request: Request, error: Exception) -> Response:
    status, code = _status(error)
    return JSONResponse(error_body(str(error), status, code), status)


def _http(request: Request, error: HTTPException) -> Response:
    return JSONResponse(error_body(f"{error.detail}: {request.url.path}", error.status_code, "http"), error.status_code)


def _gone(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=499)  # nobody reads it


def _bug(request: Request, error: Exception) -> Response:
    message = f"The engine has a bug here: {type(error).__name__}: {error}. Its log has the details."
    return JSONResponse(error_body(message, 500, "engine_failed"), 500)


ROUTES = [Route("/v1/models", models), Route("/v1/chat/completions", complete, methods=["POST"])]
IN_WORDS = {StudioError: _sentence, HTTPException: _http, ClientDisconnect: _gone, Exception: _bug}
