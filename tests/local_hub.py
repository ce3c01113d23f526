"""A small Hugging Face Hub on this machine: the real clients talk to it through `HF_ENDPOINT`, nothing in them is mocked.

    with local_hub(tmp_path / "hub") as hub:
        folder = hub.repository("models/me/tiny")          # what is written here is served at once
        subprocess.run([...], env=hub.environment(tmp_path / "home", token="hf_ann"))
        with hub.trouble(where="/commit/", status=500, times=2):
            ...                                            # see local_hub_trouble.py

A repository is a folder, `<root>/<models|datasets|spaces>/<owner>/<name>`; `<name>@<label>` beside it is the same
repository at another branch, tag or older commit, found by that label or by its commit. What a client commits appears in
the folder at once and whole; every state it had then stays beside it. A file `.gated` makes it gated and names the users
who accepted its licence, a file `.private` hides it from strangers. Tokens, users and the organisation `team` are in
local_hub_accounts.py: `hf_ann`, `hf_ann_read`, `hf_ann_team`, `hf_bob`; further ones are put into `hub.tokens`.

The clients read these variables once, at import: give them to a process of its own.
"""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

import uvicorn

from tests.local_hub_accounts import known_tokens
from tests.local_hub_api import application
from tests.local_hub_history import Entry, history
from tests.local_hub_repository import Repository
from tests.local_hub_trouble import Trouble

NO_HUB = "http://127.0.0.1:9"  # the port of the discard protocol: nobody listens there


class Hub:
    """A running Hub: where it answers, the folder it serves, whose tokens it knows, what it was asked."""

    def __init__(self, url: str, root: Path):
        self.url, self.root, self.tokens = url, root, known_tokens()
        self.requests: list[str] = []  # "GET /api/models/me/tiny", oldest first
        self.troubles: list[Trouble] = []
        self._app = application(root, self.tokens)

    def repository(self, place: str) -> Path:
        """The folder of a repository such as `models/me/tiny` or `datasets/me/rows@v1`, made where it is missing."""
        folder = self.root / place
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def commits(self, place: str) -> list[Entry]:
        """What clients committed to the branch `main` of a repository such as `models/ann/tiny`, newest first."""
        kind, _, name = place.partition("/")
        return history(Repository(kind, name, self.root / place))

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """The whole environment of a process whose Hub this is."""
        return client_environment(self.url, home, token)

    @contextmanager
    def failing(self, status: int, where: str = "/") -> Iterator[None]:
        """Answer every request whose path contains `where` with this status, until the block ends."""
        with self.trouble(status=status, where=where):
            yield

    @contextmanager
    def trouble(self, **how: Any) -> Iterator[Trouble]:
        """Let requests meet a Trouble with these fields, until the block ends."""
        trouble = Trouble(**how)
        self.troubles.append(trouble)
        try:
            yield trouble
        finally:
            self.troubles.remove(trouble)

    async def __call__(self, scope, receive, send) -> None:
        self.requests.append(f"{scope['method']} {scope['path']}")
        answer = self._app
        # A slash inside a name, such as a branch's, is sent as %2F and must not end it.
        scope = scope | {"path": unquote(scope["raw_path"].decode().replace("%2F", "%252F"))}
        # The owner of `receive` is uvicorn's half of the connection; ASGI has no word for hanging up.
        hang_up = receive.__self__.transport.close
        for trouble in [found for found in self.troubles if found.meets(scope)]:
            await asyncio.sleep(trouble.delay_s)
            answer = trouble.refusal() if trouble.status else answer
            receive, send = trouble.receiving(receive, hang_up), trouble.sending(send, hang_up)
        await answer(scope, receive, send)


@contextmanager
def local_hub(root: Path) -> Iterator[Hub]:
    """Serve the repositories under `root` on a free port until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:  # it listens from here on: no waiting for the thread
        # uvicorn sets this only on listeners of its own; without it every answer waits 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hub = Hub(f"http://127.0.0.1:{listener.getsockname()[1]}", root)
        server = uvicorn.Server(uvicorn.Config(hub, lifespan="off", log_level="critical", timeout_graceful_shutdown=1))
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
