"""The licence of a base model that the catalog does not know, as its own model card names it."""

from pathlib import Path

import httpx2
import yaml
from huggingface_hub import hf_hub_download, metadata_load
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

from core.hub.facts import Licence
from core.models.load import Found
from core.where import Place, place_of


def licence(source: str, found: Found) -> Licence | None:
    """None where the base has no card, or its card names none, or the Hub cannot be asked now."""
    card = _from_hub(source, found.revision) if place_of(source) is Place.HUB else found.original.folder / "README.md"
    try:
        named = (metadata_load(card) or {}) if card and card.is_file() else {}
    except (ValueError, yaml.YAMLError, UnicodeDecodeError):
        return None
    known = [named.get(key) for key in ("license", "license_name", "license_link")]
    own, name, link = (value if isinstance(value, str) else None for value in known)
    return Licence(own, name, link) if own else None


def _from_hub(source: str, revision: str | None) -> Path | None:
    try:
        return Path(hf_hub_download(source, "README.md", revision=revision))
    except (EntryNotFoundError, LocalEntryNotFoundError, HfHubHTTPError, httpx2.TransportError):
        return None
