"""Without a password the studio is served under this machine's own names only, whatever a tunnel or a proxy brings.

A page of the internet whose name was turned to 127.0.0.1 (DNS rebinding) is kept out by the same check.
"""

import json
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from studio.door_page import elsewhere_page

HEALTH = "/_stcore/health"
NAMES = {"localhost", "127.0.0.1", "::1"}

# A proxy may hide under which name it was asked: then only the browser knows, and Streamlit would leave the page blank.
SCRIPT = """if (!/^(localhost|127\\.0\\.0\\.1|\\[::1\\])$/.test(location.hostname)) {
  setTimeout(() => {
    document.open()
    document.write(%s.replace("{host}", location.host))
    document.close()
  })
}"""


class ThisMachine:
    """The middleware for `st.App` where there is no password."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_open(scope) or is_this_machine(host := Headers(scope=scope).get("host", "")):
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await WebSocketClose()(scope, receive, send)
        await HTMLResponse(elsewhere_page(host), 403)(scope, receive, send)


def is_open(scope: Scope) -> bool:
    """Whether anybody may ask for this: the health check, and what the server tells itself."""
    return scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] == HEALTH)


def is_this_machine(host: str) -> bool:
    """Whether a request's `Host`, such as `localhost:8501`, is a name that no other machine has."""
    try:
        return urlsplit(f"//{host}").hostname in NAMES
    except ValueError:
        return False


def script() -> str:
    """What every page runs first: it says that it was opened under another name."""
    return SCRIPT % json.dumps(elsewhere_page("{host}")).replace("</", "<\\/")
