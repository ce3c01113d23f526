"""What is known of a name on the Hub before anything is published to it: from here at once, and then from the Hub."""

from dataclasses import dataclass

from core.errors import HubError
from core.hub import account, publication
from core.hub.publication import Earlier
from core.hub.standing import Standing, standing
from studio.hub_account import account_known
from studio.hub_question import asked as ask_once
from studio.hub_question import wait_shortly
from studio.markdown import plain
from studio.session import hub_token

PRIVATE = {"private": True, "public": False}


@dataclass(frozen=True)
class Name:
    """A repository: what is said of it, whether it can be published to, and whether it is private there, if it is there."""

    repository: str
    said: str = ""
    usable: bool = False
    private: bool | None = None


def looked_up(repository: str) -> Name:
    """What is known now; what the Hub does not tell, the job will find out."""
    if account_known() is None:
        return Name(repository, ":material/lock: Sign in above with a token that may write.")
    before = publication.earlier(repository)
    found: Standing | None = None if before is None else "private" if before.private else "public"
    try:
        found = _standing(repository, before) or found
    except HubError as error:
        if found is None:
            return Name(repository, f":orange[:material/warning: {plain(str(error))}]")
    return Name(repository, _said(plain(repository), found), found is not None, PRIVATE.get(found or ""))


def _standing(repository: str, before: Earlier | None) -> Standing | None:
    """What the Hub says, asked anew once something more was published there; None while it has not answered."""
    token = hub_token() or account.token()
    question = f"standing {repository}{f' {before.times}' if before else ''}"
    return wait_shortly(ask_once(question, lambda: standing(repository, token)))


def _said(shown: str, found: Standing | None) -> str:
    if found is None:
        return f":shimmer[Looking for {shown}…]"
    if found == "free":
        return f":green[:material/check:] {shown} is free"
    return f":material/update: {shown} was published from here; it will be updated"
