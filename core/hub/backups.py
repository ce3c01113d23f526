"""Which runs of a person are backed up on the Hub, as the repositories say in their metadata. For the app: no torch."""

from datetime import datetime
from typing import Any

from huggingface_hub import constants
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status
from pydantic import BaseModel, ValidationError

from core.hub import account
from core.hub.manifest import JobId
from core.hub.refusals import hub_errors_in_words
from core.recipe_sections import HubId, Line

TAG = "fine-tuning-studio-backup"
ANSWER_WITHIN_S = 10.0
MOST = 200


class FoundBackup(BaseModel):
    """A backup as its repository describes itself; `changed` is when it was written last."""

    repository: HubId
    changed: datetime
    job: JobId
    name: Line
    step: int | None = None
    total_steps: int | None = None
    status: Line = "running"
    size_bytes: int = 0


def backups_of(token: str) -> list[FoundBackup]:
    """Those of a token's user and of their organisations, the newest first; raises HubError."""
    who = account.who(token, ANSWER_WITHIN_S)
    owners = (who.name, *who.organisations)
    found = [one for owner in owners for said in _listed(owner, token) if (one := _read(said))]
    return sorted(found, key=lambda one: one.changed, reverse=True)


def _listed(owner: str, token: str) -> list[dict[str, Any]]:
    """What `GET /api/models` answers (huggingface.co/docs/hub/api); the client's own way waits for ever."""
    asked = {"author": owner, "filter": TAG, "cardData": "true", "limit": MOST}
    with hub_errors_in_words(f"the backups of {owner}"):
        answer = get_session().get(
            f"{constants.ENDPOINT}/api/models",
            params=asked,
            headers=build_hf_headers(token=token),
            timeout=ANSWER_WITHIN_S,
        )
        hf_raise_for_status(answer)
        return answer.json()


def _read(said: dict[str, Any]) -> FoundBackup | None:
    """None where somebody has changed the metadata to something else."""
    about = (said.get("cardData") or {}).get("backup")
    try:
        return FoundBackup.model_validate(
            {
                **(about if isinstance(about, dict) else {}),
                "repository": said.get("id"),
                "changed": said.get("lastModified"),
            }
        )
    except ValidationError:
        return None
