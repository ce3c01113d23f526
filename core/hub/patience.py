"""How long the Hub is waited for. Its client waits for ever, so a Hub that takes a call and says nothing would hold a job up."""

import os

import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory

# A commit of many files takes the Hub some seconds; a line that carries nothing for a minute is dead.
PATIENCE = httpx2.Timeout(10, read=120, write=60, pool=None)


def client(patience: httpx2.Timeout | None = None) -> httpx2.Client:
    """The Hub's own client, less patient. Calls with a timeout of their own keep it."""
    found = default_client_factory()
    found.timeout = patience or PATIENCE
    return found


def bear_silence(longest_s: float) -> None:
    """From now on in this process whatever takes so long is an error; `$STUDIO_HUB_TIMEOUT_S` decides where it is set."""
    patience = httpx2.Timeout(float(os.environ.get("STUDIO_HUB_TIMEOUT_S") or longest_s))
    set_client_factory(lambda: client(patience))


# Whoever talks to the Hub imports this, by way of `refusals.py`: it holds for the whole process.
set_client_factory(client)
