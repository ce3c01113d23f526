"""An engine's process begins anew in place: the same process id, port and key, and none of the memory that libraries keep.

After its last model was unloaded, prepared kernels and holes between blocks would stay. Who asks meanwhile waits at the port.
"""

import os
import socket
import sys

from core import home

MODULE = "core.inference.server"


def possible() -> bool:
    """Whether the system can put another program in a process's place and let it keep its open port."""
    return os.name == "posix"


def heir_of(listening: socket.socket) -> int:
    """The same port under another number, which stays open when the server closes its own."""
    return os.dup(listening.fileno())


def begin_anew(heir: int, key: str, arguments: list[str]) -> None:
    """Never returns. The key goes by standard input, as to any engine: arguments can be read by others."""
    read, write = os.pipe()
    os.write(write, f"{key}\n".encode())
    os.close(write)
    os.dup2(read, 0)
    os.set_inheritable(heir, True)
    os.environ["STUDIO_HOME"] = str(home.home())  # may have been relative to where we are
    os.chdir(home.ROOT)
    os.execv(sys.executable, [sys.executable, "-m", MODULE, "--listening", str(heir), *arguments])
