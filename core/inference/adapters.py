"""Adapters that are no run's: a folder or a repository on the Hub with a LoRA adapter, and the base that it names."""

from functools import lru_cache
from pathlib import Path

from core import catalog
from core.errors import ModelError
from core.files import read_json
from core.inference.choices import Target, here
from core.models import hub
from core.models.left_out import count_in
from core.models.progress import silent
from core.where import Place, local_path, place_of


def resolved(target: Target) -> Target:
    """What really has to be loaded: where the source is an adapter, the base under it as well.

    Looks at the Hub for an id that it does not know; raises ModelError.
    """
    if target.adapter or catalog.model(target.source):
        return target
    place = place_of(target.source)
    if place is Place.LOCAL:
        return _with_base(target, local_path(target.source))
    return _on_the_hub(target) if place is Place.HUB else target


@lru_cache(maxsize=32)
def _on_the_hub(target: Target) -> Target:
    """Looked up once: while the engine lives, a repository stays what it was."""
    folder = hub.download(target.source, target.revision, silent, weights=False)
    if _is_adapter(folder):
        folder = hub.download(target.source, folder.name, silent)
    return _with_base(target, folder)


def _with_base(target: Target, folder: Path) -> Target:
    if not _is_adapter(folder):
        return target
    config = read_json(folder / "adapter_config.json") or {}
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ModelError(f"The adapter {target.source} does not name the model it belongs to, so it cannot be loaded.")
    if count_in(base):
        raise ModelError(
            f"The adapter {target.source} fits {base} alone, a model that nobody has by that name. Choose its run, or give the "
            "folder of its merged export."
        )
    return Target(here(base), config.get("revision"), _template(folder), adapter=folder)


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").exists() and not (folder / "config.json").exists()


def _template(folder: Path) -> str | None:
    """The chat template that is saved with the adapter's tokenizer."""
    file = folder / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8")
    known = (read_json(folder / "tokenizer_config.json") or {}).get("chat_template")
    return known if isinstance(known, str) else None
