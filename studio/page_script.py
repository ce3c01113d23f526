"""A script of our own in Streamlit's page, before any of Streamlit's."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = b"<head>"


class PageScript:
    """The middleware for `st.App`. A web page that somebody downloads is left as it is."""

    def __init__(self, app: ASGIApp, script: str):
        self.app = app
        self.script = f"<script>{script}</script>".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "text/html" not in Headers(scope=scope).get("accept", ""):
            return await self.app(scope, receive, send)
        readable = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        await self.app(scope | {"headers": readable}, receive, _Page(self.script, send))


class _Page:
    """An answer on its way: held back until it is whole where it is the page."""

    def __init__(self, script: bytes, send: Send):
        self.script = script
        self.send = send
        self.start: Message | None = None
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self.start = message
        elif self.start is None:
            await self.send(message)
        else:
            self.body += message.get("body", b"")
            if not message.get("more_body"):
                await self._pass_on(self.start)

    async def _pass_on(self, start: Message) -> None:
        headers = MutableHeaders(raw=start["headers"])
        for name in ("etag", "last-modified"):  # of Streamlit's file, not of this page
            del headers[name]
        if self.body:
            self.body = self.body.replace(HEAD, HEAD + self.script, 1)
            headers["content-length"] = str(len(self.body))
        await self.send(start)
        await self.send({"type": "http.response.body", "body": self.body})


def _is_page(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    is_html = headers.get("content-type", "").startswith("text/html")
    return start["status"] == 200 and is_html and "content-disposition" not in headers
