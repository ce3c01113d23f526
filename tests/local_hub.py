"""A small Hugging Face Hub on this machine: the real clients talk to it through `HF_ENDPOINT`, nothing in them is mocked.

    with local_hub(tmp_path / "hub") as hub:
        folder = hub.repository("models/me/tiny")          # what is written here is served at once
        subprocess.run([...], env=hub.environment(tmp_path / "home", token="hf_ann"))

A repository is a folder, `<root>/<models|datasets>/<owner>/<name>`; `<name>@<label>` beside it is the same repository at
another branch or tag, found by that label or by its commit. A file `.gated` makes it gated and names the users who
accepted its licence. The token `hf_ann` is the user ann's; any other shape is no token.

The clients read these variables once, at import: give them to a process of its own.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvicorn
from starlette.responses import JSONResponse

from tests.local_hub_api import application

NO_HUB = "http://127.0.0.1:9"  # the port of the discard protocol: nobody listens there


class Hub:
    """A running Hub: where it answers, the folder it serves, what it was asked."""

    def __init__(self, url: str, root: Path):
        self.url, self.root = url, root
        self.requests: list[str] = []  # "GET /api/models/me/tiny", oldest first
        self._failure: tuple[int, str] | None = None
        self._app = application(root)

    def repository(self, place: str) -> Path:
        """The folder of a repository such as `models/me/tiny` or `datasets/me/rows@v1`, made where it is missing."""
        folder = self.root / place
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """The whole environment of a process whose Hub this is."""
        return client_environment(self.url, home, token)

    @contextmanager
    def failing(self, status: int, where: str = "/") -> Iterator[None]:
        """Answer every request whose path contains `where` with this status, until the block ends."""
        self._failure = (status, where)
        try:
            yield
        finally:
            self._failure = None

    async def __call__(self, scope, receive, send) -> None:
        self.requests.append(f"{scope['method']} {scope['path']}")
        status, where = self._failure or (0, "")
        failing = status and where in scope["path"]
        answer = JSONResponse({"error": "Injected failure."}, status) if failing else self._app
        await answer(scope, receive, send)


@contextmanager
def local_hub(root: Path) -> Iterator[Hub]:
    """Serve the repositories under `root` on a free port until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:  # it listens from here on: no waiting for the thread
        # uvicorn sets this only on listeners of its own; without it every answer waits 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hub = Hub(f"http://127.0.0.1:{listener.getsockname()[1]}", root)
        server = uvicorn.Server(uvicorn.Config(hub, lifespan="off", log_level="error", timeout_graceful_shutdown=1))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield hub
        finally:
            server.should_exit = True
            thread.join()


def client_environment(url: str, home: Path, token: str | None = None) -> dict[str, str]:
    """This process's environment with the Hub at `url` (or NO_HUB), a cache of its own and no token but this one."""
    foreign = ("HF_", "HUGGING_FACE_", "HUGGINGFACE_", "TRANSFORMERS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    own = {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return kept | own | {"NO_PROXY": "127.0.0.1"} | ({"HF_TOKEN": token} if token else {})
