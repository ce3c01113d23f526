"""Whether a name on the Hub is free to publish to, or who can see what was published there. No torch."""

from typing import Literal

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import RepositoryNotFoundError

from core.hub import marker
from core.hub.refusals import hub_errors_in_words

Standing = Literal["free", "private", "public"]


def standing(repository: str, token: str | None = None) -> Standing:
    """Free, or published from here before, so that it would be updated; raises HubError where something else is there."""
    with hub_errors_in_words(repository):
        try:
            marker.files_of(repository, token)
            found = HfApi(token=token).model_info(repository, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
        except RepositoryNotFoundError:
            return "free"
    return "private" if found.private else "public"
