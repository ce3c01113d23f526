"""Whether a name on the Hub is free to publish to. No torch."""

from typing import Literal

from huggingface_hub.errors import RepositoryNotFoundError

from core.hub import marker
from core.hub.refusals import hub_errors_in_words

Standing = Literal["free", "ours"]


def standing(repository: str, token: str | None = None) -> Standing:
    """Free, or published from here before, so that it would be updated; raises HubError where something else is there."""
    with hub_errors_in_words(repository):
        try:
            marker.files_of(repository, token)
        except RepositoryNotFoundError:
            return "free"
    return "ours"
