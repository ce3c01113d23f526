"""Open the studio: `python -m studio [PORT]`. It serves this machine only, unless `STUDIO_PASSWORD` is set."""

import os
import socket
import sys
from contextlib import suppress

from core import home
from studio.password import password_problem


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C; exit status 1 with a sentence if the port cannot be had."""
    port = arguments[0] if arguments else "8501"
    if problem := _problem(port) or password_problem(os.environ.get("STUDIO_PASSWORD")):
        print(problem, file=sys.stderr)
        return 1
    print(f"Fine-Tuning Studio: http://127.0.0.1:{port}   (Ctrl-C ends it; trainings go on)", flush=True)
    os.chdir(home.ROOT)  # where .streamlit/config.toml lies
    from studio.server import app

    with suppress(KeyboardInterrupt):
        app.run(config={"server.port": int(port), "server.address": "127.0.0.1"})
    return 0


def _problem(port: str) -> str | None:
    if not port.isdecimal() or not 0 < int(port) < 65536:
        return f"STUDIO_PORT is {port!r}, but a port is a number from 1 to 65535."
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            return f"Port {port} cannot be used: {reason}. Close what uses it, or choose another: STUDIO_PORT=8502 make run"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
