"""What a model is called for others: its id on the Hub, if it has one; and what a repository there always has. No torch."""

from core.models.starter import HUB_ID
from core.where import Place, place_of

# The files that the Hub puts into a new repository.
OF_ANY_REPOSITORY = {".gitattributes", "README.md"}


def hub_id(source: str) -> str | None:
    """The Hub id of a model's source; the starter is known there; None for a folder of this machine."""
    if source == "starter":
        return HUB_ID
    return source if place_of(source) is Place.HUB else None
