"""Who one is on the Hub, in which organisations, and what the token may do. A token is never written down."""

import os
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
from huggingface_hub import constants, get_token
from huggingface_hub.errors import GatedRepoError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from core.errors import HubError
from core.hub.refusals import hub_errors_in_words

ANSWER_WITHIN_S = 10.0
TOKENS_PAGE = f"{constants.ENDPOINT}/settings/tokens"
WRITERS = ("admin", "write", "contributor")

Origin = Literal["environment", "login"]


@dataclass(frozen=True)
class Account:
    """A user as a token shows them. `namespaces` are those the user may write to: their own, and organisations.

    `only` are the places a fine-grained token may write to, as owner or owner/name; None for any other token.
    """

    name: str
    organisations: tuple[str, ...] = ()
    role: str = "write"  # of the token: write, read, fineGrained, or a new one of the Hub's
    namespaces: tuple[str, ...] = ()
    only: frozenset[str] | None = field(default=None)

    def may_write(self, repository: str) -> bool:
        """Whether the token may create or change repositories of an owner, or this one, given as owner or owner/name."""
        owner = repository.partition("/")[0]
        if owner not in self.namespaces or self.role == "read":
            return False
        return self.only is None or bool(self.only & {owner, repository})

    @property
    def writable(self) -> tuple[str, ...]:
        """The owners under which the token may create repositories."""
        return tuple(owner for owner in self.namespaces if self.may_write(owner))


def token() -> str | None:
    """The token of this machine: from the environment, else from `hf auth login`."""
    return get_token()


def origin() -> Origin:
    """Where the token of this machine comes from."""
    named = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    return "environment" if named else "login"


def who(token: str, within_s: float = ANSWER_WITHIN_S) -> Account:
    """The user a token belongs to; raises HubError."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise HubError("This is no token: one begins with hf_ and has only letters and digits.")
    with hub_errors_in_words("your name"):
        answer = _get("api/whoami-v2", token, within_s)
        if answer.status_code == 401:
            raise HubError(f"The Hub does not accept this token. Copy it whole, or make one at {TOKENS_PAGE}.")
        hf_raise_for_status(answer)
        return _account(answer.json())


def may_read(model: str, token: str) -> bool:
    """Whether a gated model's files are open to a user; raises HubError."""
    with hub_errors_in_words(model):
        try:
            hf_raise_for_status(_get(f"api/models/{model}/auth-check", token, ANSWER_WITHIN_S))
        except GatedRepoError:
            return False
        return True


def repository_page(model: str) -> str:
    """A model's page, where its licence is accepted and its files are read."""
    return f"{constants.ENDPOINT}/{model}"


def _get(path: str, token: str, within_s: float) -> httpx2.Response:
    return get_session().get(f"{constants.ENDPOINT}/{path}", headers=build_hf_headers(token=token), timeout=within_s)


def _account(said: dict[str, Any]) -> Account:
    """What `GET /api/whoami-v2` answers (huggingface.co/docs/hub/api)."""
    organisations = [org for org in said.get("orgs", []) if org.get("name")]
    mine = (org["name"] for org in organisations if org.get("roleInOrg", "write") in WRITERS)
    access = said.get("auth", {}).get("accessToken", {})
    role = access.get("role", "write")
    return Account(
        name=said["name"],
        organisations=tuple(org["name"] for org in organisations),
        role=role,
        namespaces=(said["name"], *mine),
        only=_named_in(access.get("fineGrained", {})) if role == "fineGrained" else None,
    )


def _named_in(access: dict[str, Any]) -> frozenset[str]:
    """The users, organisations and repositories to which a fine-grained token may write."""
    scopes = access.get("scoped", [])
    return frozenset(
        scope["entity"]["name"]
        for scope in scopes
        if "repo.write" in scope.get("permissions", []) and "name" in scope["entity"]
    )
