"""Which troubles with the Hub pass by themselves, and asking again until they have."""

import time
from collections.abc import Callable, Sequence
from json import JSONDecodeError
from typing import TypeVar

import httpx2
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from core.errors import HubError
from core.hub.refusals import hub_errors_in_words

# Beside these every error of the Hub's own. A conflict passes once it was looked at what the other one did.
PASSING = (408, 409, 412, 425, 429)
# What tells that no Hub has answered, or something else in its place.
AWAY = (httpx2.TransportError, OfflineModeIsEnabled, LocalEntryNotFoundError, JSONDecodeError)
OF_THE_CLIENT = (HfHubHTTPError, *AWAY, RuntimeError, OSError)

Answer = TypeVar("Answer")


class PassingTrouble(HubError):
    """One that may be over in a while: no connection, silence, too many requests, a conflict, an error of the Hub's own."""


def asked(what: str, ask: Callable[[], Answer]) -> Answer:
    """What the Hub answers; raises PassingTrouble, or HubError for what lasts. `what` as for `hub_errors_in_words`."""
    passing = False
    try:
        with hub_errors_in_words(what):
            try:
                return ask()
            except OF_THE_CLIENT as error:
                cause = _cause_of(error)
                passing = _passes(cause)
                raise cause from cause.__cause__
    except HubError as error:
        if passing:
            raise PassingTrouble(str(error)) from None
        raise


def patiently(what: str, ask: Callable[[], Answer], pauses_s: Sequence[float]) -> Answer:
    """What the Hub answers, asked again after each of the pauses where the trouble may pass; raises HubError."""
    for pause_s in pauses_s:
        try:
            return asked(what, ask)
        except PassingTrouble:
            time.sleep(pause_s)
    return asked(what, ask)


def _passes(error: BaseException) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in PASSING or error.response.status_code >= 500
    cut = str(error).startswith("Consistency check failed")
    return cut or isinstance(error, AWAY)


def _cause_of(error: BaseException) -> BaseException:
    """What really happened: the client wraps the errors of an upload, and of a download's first look."""
    cause = error.__cause__
    wraps = isinstance(error, (RuntimeError, LocalEntryNotFoundError))
    return _cause_of(cause) if wraps and isinstance(cause, OF_THE_CLIENT) else error
