"""With a password the studio is served under whatever name it is reached, and nothing of it to who has not given it.

Who gives it gets a key, as a cookie: random, kept in memory, gone when the studio ends. Behind a proxy the studio cannot
know its own address. It takes the origin under which the password was given, and from then on that key opens nothing from
another one: a page elsewhere cannot use somebody's open studio.
"""

import asyncio
import hashlib
import hmac
import platform
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from core import home
from studio.door_page import LET_IN, ask_page
from studio.this_machine import is_open

SHORTEST = 8
LONGEST_FORM_BYTES = 4096
WRONG_WAITS_S = 1.0  # all who guess share one wrong answer a second
MOST_WAITING = 5

WRONG = "That is not the password."
TOO_MANY = "Too many tries at once. Wait a few seconds and try again."


@dataclass(frozen=True)
class Visitor:
    """Who has given the password: from which origin, and whether inside another site's page, as in a notebook."""

    origin: str | None
    framed: bool

    @property
    def cookie_rules(self) -> str:
        """In another site's page a cookie is kept only if it is bound to that site, and sent over https alone."""
        if self.framed:
            return "SameSite=None; Secure; Partitioned"
        return "SameSite=Lax" + ("; Secure" if (self.origin or "").startswith("https:") else "")


class Password:
    """The middleware for `st.App`, outside all others."""

    def __init__(self, app: ASGIApp, password: str):
        self.app = app
        self.password = password.encode()
        self.cookie = cookie_name()
        self.visitors: dict[str, Visitor] = {}
        self.one_at_a_time = asyncio.Lock()
        self.waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor = None if scope["type"] == "lifespan" else self._visitor(scope)
        if visitor:
            return await self.app(_without_origin(scope), receive, _bound(visitor, send))
        if is_open(scope):
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await WebSocketClose()(scope, receive, send)
        answer = await self._asked(Request(scope, receive))
        await answer(scope, receive, send)

    def _visitor(self, scope: Scope) -> Visitor | None:
        """Whose key this request carries; one that changes something, or streams, comes from where that key was given."""
        headers = Headers(scope=scope)
        visitor = self.visitors.get(HTTPConnection(scope).cookies.get(self.cookie, ""))
        only_reads = scope.get("method") in ("GET", "HEAD")
        is_from_there = visitor and (only_reads or headers.get("origin", visitor.origin) == visitor.origin)
        return visitor if is_from_there else None

    async def _asked(self, request: Request) -> Response:
        """The question, or the way in for who answers it."""
        if request.method != "POST" or not request.headers.get("content-type", "").startswith("application/x-www-form"):
            forgets = {"set-cookie": f"{self.cookie}=; Path=/; Max-Age=0"} if self._may_sign_out(request) else None
            return HTMLResponse(ask_page(), 401, forgets)
        given = await _given(request)
        if self.waiting >= MOST_WAITING:
            return HTMLResponse(ask_page(TOO_MANY), 429)
        if not await self._is_right(given):
            return HTMLResponse(ask_page(WRONG), 403)
        return self._let_in(request)

    def _may_sign_out(self, request: Request) -> bool:
        """Whether a key that opens nothing may be taken away: a form in a page elsewhere leaves a person signed in.

        Browsers say whether a request is the page's own, but not over plain http; then one from elsewhere brings no key.
        """
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        return "origin" not in request.headers or self.cookie in request.cookies

    async def _is_right(self, given: bytes) -> bool:
        self.waiting += 1
        try:
            async with self.one_at_a_time:
                right = hmac.compare_digest(given, self.password)
                await asyncio.sleep(0 if right else WRONG_WAITS_S)
        finally:
            self.waiting -= 1
        return right

    def _let_in(self, request: Request) -> Response:
        origin = request.headers.get("origin")
        framed = request.headers.get("sec-fetch-dest") == "iframe" and (origin or "").startswith("https:")
        visitor = Visitor(origin, framed)
        key = secrets.token_urlsafe(32)
        self.visitors[key] = visitor
        cookie = f"{self.cookie}={key}; Path=/; HttpOnly; {visitor.cookie_rules}"
        return Response(
            status_code=303,
            headers={"location": _same_page(request), "set-cookie": cookie, "cache-control": "no-store"},
        )


def cookie_name() -> str:
    """This studio's own: a browser shares the cookies of a host among all ports and paths, behind which others may be."""
    return "studio_key_" + hashlib.sha256(platform.node().encode() + bytes(home.home())).hexdigest()[:8]


def _same_page(request: Request) -> str:
    """Its address, relative: a proxy may have taken a path away, so that only the last part of ours is the browser's."""
    query = f"?{request.url.query}" if request.url.query else ""
    return "./" + request.url.path.rpartition("/")[2] + query + LET_IN


async def _given(request: Request) -> bytes:
    """The password in the form; nothing where it is longer than any form of ours, or was cut off."""
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > LONGEST_FORM_BYTES:
                return b""
    except ClientDisconnect:
        return b""
    return parse_qs(body.decode(errors="replace")).get("password", [""])[0].encode()


def _without_origin(scope: Scope) -> Scope:
    """For Streamlit, which would compare it with the host that a proxy has made up."""
    return scope | {"headers": [pair for pair in scope["headers"] if pair[0] != b"origin"]}


def _bound(visitor: Visitor, send: Send) -> Send:
    """Let Streamlit's own cookie, without which it takes no upload, follow the rules of the key."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start" and visitor.framed:
            rules = visitor.cookie_rules.encode()
            message["headers"] = [
                (name, value.replace(b"SameSite=Lax", rules) if name == b"set-cookie" else value)
                for name, value in message["headers"]
            ]
        await send(message)

    return sent


def password_problem(password: str | None) -> str | None:
    """What is wrong with a password that was set, in a sentence."""
    if password is None:
        return None
    if not password.isprintable():  # an undecodable byte is a lone surrogate here
        return "STUDIO_PASSWORD has a sign that no browser would send: a line's end, a control sign, or bytes that are not UTF-8. Choose another."
    if len(password) >= SHORTEST:
        return None
    return f"STUDIO_PASSWORD has {len(password)} characters. Choose one of {SHORTEST} or more, or leave it out: then only this machine is served."
