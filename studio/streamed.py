"""Uploads go to the disk as they arrive. Streamlit alone would hold the whole file in the app's memory, twice.

Streamlit's own handler still answers: it checks token, session and size, and then asks for the body. It is given a body
of the same form, with the same headers, in which a reference stands for the content. `keep_upload` takes it from there.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

from studio.arrival import Arrival

PATH = "/_stcore/upload_file/"
# What other widgets take, such as a recipe, is small and stays as Streamlit has it.
IN_MEMORY_BYTES = 1 << 20


class UploadsToDisk:
    """The middleware for `st.App`."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        boundary = _boundary(scope)
        if boundary is None:
            return await self.app(scope, receive, send)
        upload = _Upload(Request(scope, receive), boundary)
        try:
            await self.app(scope, upload.receive, upload.watching(send))
        finally:
            if not upload.accepted:
                upload.arrival.discard()


def _boundary(scope: Scope) -> bytes | None:
    """What divides the parts of an upload's body; None for any other request."""
    if scope["type"] != "http" or scope["method"] != "PUT" or PATH not in scope["path"]:
        return None
    kind, options = parse_options_header(dict(scope["headers"]).get(b"content-type"))
    return options.get(b"boundary") if kind == b"multipart/form-data" else None


class _Upload:
    """One request: its body on the way to the disk, and what Streamlit is given instead."""

    def __init__(self, request: Request, boundary: bytes):
        self.request = request
        self.boundary = boundary
        self.arrival = Arrival()
        self.accepted = False
        self._given = False

    async def receive(self) -> Message:
        """The body, when Streamlit asks for it; whatever is asked for later comes from the browser."""
        if self._given:
            return await self.request.receive()
        self._given = True
        return {"type": "http.request", "body": await self._body(), "more_body": False}

    def watching(self, send: Send) -> Send:
        """Note whether Streamlit has accepted the upload."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.accepted = message["status"] < 300
            await send(message)

        return watched

    async def _body(self) -> bytes:
        part = _Part(self.arrival)
        with _refused_if_malformed():
            parser = MultipartParser(self.boundary, part.callbacks())
            await run_in_threadpool(self.arrival.begin, int(self.request.headers.get("content-length", 0)))
            async for piece in self._pieces():
                await run_in_threadpool(parser.write, piece)
        await run_in_threadpool(self.arrival.end)
        if not part.whole:
            raise HTTPException(400, "The upload was cut short.")
        return b"--%b\r\n%b\r\n%b\r\n--%b--\r\n" % (self.boundary, part.headers, self._content(), self.boundary)

    async def _pieces(self) -> AsyncIterator[bytes]:
        """The body in pieces; more than Streamlit would take is refused."""
        left = config.get_option("server.maxUploadSize") * 1024 * 1024
        async for piece in self.request.stream():
            left -= len(piece)
            if left < 0:
                raise HTTPException(413, "File too large")
            yield piece

    def _content(self) -> bytes:
        """The content of a small file, else the reference; the reference too where the page has to say what is wrong."""
        if self.arrival.problem or self.arrival.size_bytes > IN_MEMORY_BYTES:
            return self.arrival.offer()
        content = self.arrival.path.read_bytes()
        self.arrival.discard()
        return content


class _Part:
    """The one part of the body: its headers as they came, and its content into the arriving file."""

    def __init__(self, arrival: Arrival):
        self.arrival = arrival
        self.headers = b""
        self.whole = False
        self._begun = False
        self._name = self._value = b""

    def callbacks(self) -> dict:
        """What the parser calls as it finds things."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_name,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self.arrival.write(data[start:end]),
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if self._begun:
            raise FormParserError("there is more than one part")
        self._begun = True

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self.headers += b"%b: %b\r\n" % (self._name, self._value)
        self._name = self._value = b""

    def _end(self) -> None:
        self.whole = True


@contextmanager
def _refused_if_malformed() -> Iterator[None]:
    """Answer as Streamlit does, without a stack trace on the terminal for what a browser has done."""
    try:
        yield
    except (FormParserError, ClientDisconnect) as error:
        raise HTTPException(400, f"The upload cannot be read: {error or 'it was cut short'}.") from error
