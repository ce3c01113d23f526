"""Models that bring Python files of their own: those run only where the recipe says so, and only the ones of that commit."""

from pathlib import Path

from core.errors import ModelError
from core.files import read_json
from core.where import is_commit

CONFIGS = ("config.json", "tokenizer_config.json", "generation_config.json")


def check(source: str, revision: str | None, folder: Path) -> None:
    """Raise ModelError unless all that may run is in this folder, and the folder is a commit's."""
    if not is_commit(revision or ""):
        raise ModelError(f"The code of {source} may only run at a full commit, given as model.revision.")
    for name in CONFIGS:
        for other in _elsewhere((read_json(folder / name) or {}).get("auto_map")):
            raise ModelError(
                f"{source} would run code of another repository, {other}, whose files no commit holds still. Choose a model "
                "that has its code beside its weights."
            )


def unread(what: str, folder: Path) -> str:
    """What to do about a model that cannot be loaded without its own code."""
    commit = folder.name if is_commit(folder.name) else "the commit you have read"
    return (
        f"The {what} in {folder} cannot be loaded without Python files of its own, which never run unasked. Read them; if you "
        f"trust them, set model.trust_remote_code to true and model.revision to {commit}."
    )


def _elsewhere(auto_map: object) -> list[str]:
    """The other repositories that an `auto_map` names, as `owner/name--file.Class`."""
    named = auto_map.values() if isinstance(auto_map, dict) else []
    flat = [part for value in named for part in (value if isinstance(value, list) else [value])]
    return [str(part).partition("--")[0] for part in flat if "--" in str(part)]
