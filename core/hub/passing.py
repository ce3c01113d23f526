"""Which troubles with the Hub pass by themselves, and how long its silence is borne. For jobs: the app has its own patience."""

import httpx2
from huggingface_hub import constants, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils._http import default_client_factory

# Beside these every error of the Hub's own. A conflict passes once it was looked what the other one did.
PASSING = (408, 409, 412, 425, 429)


def passes(error: BaseException) -> bool:
    """Whether it may be over in a while: no connection, silence, too many requests, an error of the Hub's own."""
    found = cause_of(error)
    if isinstance(found, HfHubHTTPError):
        return found.response.status_code in PASSING or found.response.status_code >= 500
    return isinstance(found, (httpx2.TransportError, OfflineModeIsEnabled, LocalEntryNotFoundError))


def cause_of(error: BaseException) -> BaseException:
    """What really happened: the client wraps the errors of an upload and of a download's first look."""
    cause = error.__cause__
    wrapped = isinstance(error, (RuntimeError, LocalEntryNotFoundError))
    return cause_of(cause) if wrapped and cause is not None else error


def bear_no_silence() -> None:
    """From now on in this process a Hub that says nothing for a while is an error; the client itself would wait for ever."""
    set_client_factory(_client)


def _client() -> httpx2.Client:
    client = default_client_factory()
    client.timeout = httpx2.Timeout(constants.HF_HUB_DOWNLOAD_TIMEOUT)
    return client
