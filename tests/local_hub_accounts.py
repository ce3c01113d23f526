"""Who may do what on the local Hub: users, the organisations they are in, and tokens, which may less than their user."""

from dataclasses import dataclass

ORGANISATIONS = {"team": {"ann": "write", "bob": "read"}}
WRITERS = ("write", "admin")


@dataclass(frozen=True)
class Token:
    """A user's token. A fine-grained one may write only in the namespaces it names."""

    user: str
    role: str  # write | read | fineGrained
    only: tuple[str, ...] = ()

    def may_read(self, namespace: str) -> bool:
        """Whether private repositories there can be seen."""
        return self.user == namespace or self.user in ORGANISATIONS.get(namespace, {})

    def may_write(self, namespace: str) -> bool:
        """Whether repositories there can be made and changed: user and token must both be allowed to."""
        own = self.user == namespace or ORGANISATIONS.get(namespace, {}).get(self.user) in WRITERS
        return own and (self.role == "write" or namespace in self.only)

    @property
    def description(self) -> dict:
        """What `whoami-v2` says of it."""
        members = ((name, roles[self.user]) for name, roles in ORGANISATIONS.items() if self.user in roles)
        orgs = [{"type": "org", "name": name, "fullname": name.title(), "roleInOrg": role} for name, role in members]
        about = {"type": "user", "id": self.user, "name": self.user, "fullname": self.user.title(), "isPro": False}
        return about | {"canPay": self.user == "ann", "orgs": orgs, "auth": self._access}

    @property
    def _access(self) -> dict:
        access: dict = {"displayName": "tests", "role": self.role}
        if self.role == "fineGrained":
            kinds = {name: "org" if name in ORGANISATIONS else "user" for name in self.only}
            scoped = [
                {
                    "entity": {"_id": name, "type": kind, "name": name},
                    "permissions": ["repo.content.read", "repo.write"],
                }
                for name, kind in kinds.items()
            ]
            access |= {"fineGrained": {"canReadGatedRepos": True, "global": [], "scoped": scoped}}
        return {"type": "access_token", "accessToken": access}


def known_tokens() -> dict[str, Token]:
    """The tokens of a new Hub; any other is nobody's."""
    return {
        "hf_ann": Token("ann", "write"),
        "hf_ann_read": Token("ann", "read"),
        "hf_ann_team": Token("ann", "fineGrained", only=("team",)),
        "hf_bob": Token("bob", "write"),
    }
