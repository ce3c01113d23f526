"""What the Hub's client raises, as one sentence for the person. No sentence ever holds a token."""

from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from core import catalog
from core.errors import HubError
from core.hub import patience  # noqa: F401  # for what it does: no call waits for ever

SIGN_IN = "sign in on the Hub page, or with `hf auth login`"
# All that the client raises for what the Hub answers, or does not.
RAISED = (
    HfHubHTTPError,
    EntryNotFoundError,
    OfflineModeIsEnabled,
    LocalTokenNotFoundError,
    HFValidationError,
    httpx2.TransportError,
)
KINDS = {"dataset": "data set", "space": "Space"}


@contextmanager
def hub_errors_in_words(what: str, revision: str | None = None) -> Iterator[None]:
    """Raise one HubError for whatever goes wrong with the Hub inside.

    `what` is the repository, or what was asked for, as it reads after "when asked for".
    """
    try:
        yield
    except RAISED as error:
        raise HubError(sentence(error, what, revision)) from None
    except JSONDecodeError:
        raise HubError(
            f"Something else than the Hub answered when asked for {what}, such as the sign-in page of a network. Open "
            f"{constants.ENDPOINT} in a browser, then try again."
        ) from None
    except RuntimeError as error:  # in which the client wraps what went wrong with one of several files
        if not isinstance(error.__cause__, RAISED):
            raise
        raise HubError(sentence(error.__cause__, what, revision)) from None
    except OSError as error:
        if not str(error).startswith("Consistency check failed"):
            raise
        raise HubError(f"The Hub sent {what} cut short. Try again: what has arrived whole is kept.") from None


def sentence(error: BaseException, what: str, revision: str | None = None) -> str:
    """What an error of the Hub's client means, and what to do."""
    kind = KINDS.get(getattr(error, "repo_type", None) or "", "repository")
    match error:
        case GatedRepoError():
            return gated_sentence(what, error.repo_type or "model")
        case RevisionNotFoundError():
            return f"{_named(kind, what)} has no revision {revision or 'main'!r} on the Hub. Check the branch, tag or commit."
        case RepositoryNotFoundError():
            return f"The Hub has no {kind} {what}, or it is private. Check the spelling; for a private one {SIGN_IN}."
        case LocalEntryNotFoundError() if _refused(error.__cause__):
            return sentence(error.__cause__, what, revision)
        case LocalEntryNotFoundError():
            return (
                f"{what} is not on this machine, and the Hub cannot be reached or is in trouble. Check the connection, or "
                "use what is on this machine."
            )
        case EntryNotFoundError():
            return f"{what} is not in its repository on the Hub. Check the name."
        case LocalTokenNotFoundError():
            return f"For {what} the Hub wants to know who you are: {SIGN_IN}."
        case HFValidationError():
            return f"{what!r} is no name of a repository: it has the form owner/name, with letters, digits, dots and dashes."
        case OfflineModeIsEnabled():
            return f"HF_HUB_OFFLINE is set, so the Hub was not asked for {what}. Unset it and start again."
        case httpx2.TimeoutException():
            return f"The Hub did not answer in time when asked for {what}. Try again in a while."
        case HfHubHTTPError():
            return _by_status(error, what)
        case httpx2.RemoteProtocolError() | httpx2.ReadError() | httpx2.WriteError():
            return f"The line to the Hub was cut while it was asked for {what}. Try again."
    return f"The Hub cannot be reached, so it was not asked for {what}. Check the connection."


def _refused(cause: BaseException | None) -> bool:
    """Whether a file is not here because the Hub did not want to give it."""
    return isinstance(cause, HfHubHTTPError) and cause.response.status_code < 500


def gated_sentence(source: str, kind: str = "model") -> str:
    """What to do about a gated repository, with the ungated mirror where the catalog knows one."""
    known = catalog.model(source)
    mirror = f" Or use the ungated mirror {known.mirror}." if known and known.mirror else ""
    page = f"{constants.ENDPOINT}/{'' if kind == 'model' else f'{kind}s/'}{source}"
    return f"{_named(KINDS.get(kind, ''), source)} is gated. Accept the licence at {page}, then {SIGN_IN}.{mirror}"


def _named(kind: str, what: str) -> str:
    """The data set me/rows; a model's own name says enough."""
    return f"The {kind} {what}" if kind in KINDS.values() else what


def _forbidden(error: HfHubHTTPError, what: str) -> str:
    tokens = f"{constants.ENDPOINT}/settings/tokens has them."
    if error.response.request.method in ("GET", "HEAD"):
        return f"The Hub does not let this token read {what}. Sign in with one that may; {tokens}"
    return f"The Hub does not let this token change {what}. Sign in with one that may write there; {tokens}"


def _by_status(error: HfHubHTTPError, what: str) -> str:
    code = error.response.status_code
    known = {
        401: "The Hub does not accept the token. Sign in again on the Hub page, or with `hf auth login`.",
        402: f"The Hub wants a payment method or a PRO account for {what}: see {constants.ENDPOINT}/settings/billing.",
        403: _forbidden(error, what),
        409: f"{what} is being changed on the Hub by somebody else, or is there already. Try again.",
        412: f"{what} was changed on the Hub by somebody else in the same moment. Try again.",
        429: f"The Hub has been asked too often to answer for {what} now. Try again in some minutes.",
    }
    if code == 400 and error.server_message:
        return f"The Hub does not take {what}: {' '.join(error.server_message.split())[:300]}"
    return known.get(code, f"The Hub answered {code} when asked for {what}. Try again in a while.")
