"""The stream over plain requests: in order, each message once, whatever is lost on the way."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from studio import stream_by_http
from studio.stream_by_http import PATH, STREAM, StreamByHttp

BASE = "/user/me"  # where a proxy has put the studio
heard: list[str] = []


async def echo(socket: WebSocket) -> None:
    """What Streamlit is here: it takes one protocol, says what it heard, and notes who leaves."""
    if "streamlit" not in socket.scope["subprotocols"]:
        return await socket.close()
    await socket.accept("streamlit")
    await socket.send_bytes(socket.headers["sec-websocket-protocol"].encode())
    try:
        while True:
            heard.append((await socket.receive_bytes()).decode())
            await socket.send_bytes(heard[-1].upper().encode())
    except WebSocketDisconnect:
        heard.append("gone")


def with_line(talk: Callable[[httpx2.AsyncClient, str], Awaitable[None]], started: bool = False) -> None:
    """Open a line, and talk over it; where asked, to an app that a server has started."""

    async def run() -> None:
        heard.clear()
        app = StreamByHttp(Starlette(routes=[WebSocketRoute(BASE + STREAM, echo)]))
        if started:
            told = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
            await app({"type": "lifespan"}, lambda: asyncio.sleep(0, next(told)), lambda _: asyncio.sleep(0))
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url=f"http://team.test{BASE}"
        ) as client:
            key = await client.post(PATH, headers={"X-Stream-Protocols": "streamlit, token"})
            assert key.status_code == 200 and key.headers["cache-control"] == "no-store"
            await talk(client, f"{PATH}/{key.text}")

    asyncio.run(run())


async def said(client: httpx2.AsyncClient, line: str, number: int, **how: str) -> list[str]:
    """The messages of one answer."""
    body, found = (await client.get(line, params={"from": number} | how)).content, []
    while body:
        end = 4 + int.from_bytes(body[:4])
        found.append(body[4:end].decode())
        body = body[end:]
    return found


def test_what_the_app_says_is_kept_until_it_has_arrived():
    async def talk(client, line):
        assert await said(client, line, 0) == await said(client, line, 0) == ["streamlit, token"]
        for number, word in enumerate(["a", "b", "c"]):
            await client.post(line, params={"number": number}, content=word)
        await asyncio.sleep(0.05)
        assert await said(client, line, 1) == ["A", "B", "C"]
        assert await said(client, line, 3) == ["C"]

    with_line(talk)


def test_what_the_page_says_twice_is_heard_once():
    async def talk(client, line):
        for number, word in [(0, "a"), (0, "a"), (1, "b"), (0, "a"), (1, "b")]:
            assert (await client.post(line, params={"number": number}, content=word)).status_code == 204
        await asyncio.sleep(0.05)
        assert heard == ["a", "b"]

    with_line(talk)


def test_a_page_that_waits_gets_the_message_when_it_is_said(monkeypatch):
    async def talk(client, line):
        assert await said(client, line, 0) == ["streamlit, token"]
        waiting = asyncio.create_task(said(client, line, 1))
        await asyncio.sleep(0.05)
        await client.post(line, params={"number": 0}, content="news")
        assert await waiting == ["NEWS"]
        monkeypatch.setattr(stream_by_http, "WAIT_S", 0.05)
        assert await said(client, line, 2) == [], "it is asked again before a proxy would lose patience"

    with_line(talk)


def test_a_hidden_page_is_answered_at_once_and_keeps_no_request_open():
    async def talk(client, line):
        assert await said(client, line, 0, now="") == ["streamlit, token"]
        assert await asyncio.wait_for(said(client, line, 1, now=""), 2) == []

    with_line(talk)


@pytest.mark.parametrize("leaves", [True, False])
def test_a_page_that_closes_or_is_heard_of_no_more_has_gone(monkeypatch, leaves):
    monkeypatch.setattr(stream_by_http, "WAIT_S", 0.02)
    monkeypatch.setattr(stream_by_http, "GONE_S", 0.05 if not leaves else 60)

    async def talk(client, line):
        if leaves:
            await client.post(line, params={"close": ""})
        await asyncio.sleep(0.3)
        assert heard == ["gone"]
        assert (await client.get(line)).status_code == (await client.post(line)).status_code == 410

    with_line(talk)


@pytest.fixture
def ends() -> Iterator[list[int]]:
    """The signals that a server has had, which ends by them."""
    had: list[int] = []
    before = {one: signal.signal(one, lambda number, _: had.append(number)) for one in (signal.SIGINT, signal.SIGTERM)}
    yield had
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_told_to_end_waits_for_no_page(ends, told):
    async def talk(client, line):
        waiting = asyncio.create_task(said(client, line, 1))
        await asyncio.sleep(0.05)
        signal.raise_signal(told)
        assert await asyncio.wait_for(waiting, 2) == []
        assert ends == [told] and heard == ["gone"]

    with_line(talk, started=True)


def test_what_the_app_refuses_is_refused_and_an_unknown_line_is_gone():
    async def talk(client, line):
        assert (await client.post(PATH, headers={"X-Stream-Protocols": "other"})).status_code == 403
        assert (await client.post(PATH)).status_code == 403
        assert (await client.get(PATH)).status_code == 405
        assert (await client.get(f"{PATH}/made-up")).status_code == 410

    with_line(talk)
