"""A model on the Hub as a Space would show it: adapter or whole, on which base, whether it can be read without a token."""

import re
from collections.abc import Collection
from pathlib import Path

from huggingface_hub import HfApi, ModelInfo, hf_hub_download

from core.errors import HubError, RecipeError
from core.files import read_json
from core.hub.refusals import hub_errors_in_words
from core.hub.space_files import Shown
from core.jobs.listing import all_jobs
from core.recipe_yaml import load
from core.where import HUB_ID

ANSWER_WITHIN_S = 10.0
CONFIG, ADAPTER_CONFIG, RECIPE = "config.json", "adapter_config.json", "recipe.yaml"
COMMIT = re.compile(r"[0-9a-f]{40}")


def look(model_id: str, token: str | None = None) -> Shown:
    """What the Hub says of a model, with this machine's token or another; raises HubError."""
    with hub_errors_in_words(model_id):
        info = HfApi(token=token).model_info(model_id, timeout=ANSWER_WITHIN_S)
        names = {file.rfilename for file in info.siblings or []}
        _check_weights(info, names)
        recipe = _file(info, RECIPE, token) if RECIPE in names else None
        if CONFIG in names:
            base, closed = (None, None), _why_closed(info)
        else:
            base = _base_of(info, token)
            closed = _why_closed(info) or _why_base_closed(base[0], token)
    return Shown(
        id=info.id,
        base=base[0],
        base_revision=base[1],
        tokenizer=info.id if base[0] is None or _has_tokenizer(names) else base[0],
        licence=_licence(info),
        system_prompt=_system_prompt(recipe) if recipe else "",
        why_token=closed or "",
    )


def published_here() -> list[str]:
    """The models that were published from this home, the newest first."""
    events = (job.newest_event("published") for job in all_jobs("publish"))
    found = (event.get("repository") for event in events if event)
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


def _check_weights(info: ModelInfo, names: Collection[str]) -> None:
    if any(name.endswith(".gguf") for name in names):
        raise HubError(
            f"{info.id} is a GGUF file, which a Space of this kind does not run. Publish the merged model for it."
        )
    if not {CONFIG, ADAPTER_CONFIG} & set(names):
        raise HubError(f"{info.id} has neither a {CONFIG} nor an {ADAPTER_CONFIG}, so it is no model to chat with.")
    if not any(name.endswith(".safetensors") for name in names):
        raise HubError(f"{info.id} has no weights as .safetensors. Publish it again, or choose another model.")


def _base_of(info: ModelInfo, token: str | None) -> tuple[str, str | None]:
    """The Hub id of what an adapter is put on, and its commit, where it says one."""
    config = read_json(_file(info, ADAPTER_CONFIG, token)) or {}
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(base, str) or not HUB_ID.match(base):
        raise HubError(
            f"{info.id} is an adapter on {base or 'a model it does not name'}, which others cannot read from the Hub. "
            "Publish the merged model instead."
        )
    return base, revision if isinstance(revision, str) and COMMIT.fullmatch(revision) else None


def _file(info: ModelInfo, name: str, token: str | None) -> Path:
    return Path(hf_hub_download(info.id, name, revision=info.sha, token=token, etag_timeout=ANSWER_WITHIN_S))


def _why_closed(info: ModelInfo) -> str | None:
    """Why not everybody may read it; None where everybody may."""
    if info.private:
        return f"{info.id} is private"
    return f"{info.id} is gated" if info.gated else None


def _why_base_closed(base: str, token: str | None) -> str | None:
    with hub_errors_in_words(base):
        return _why_closed(HfApi(token=token).model_info(base, timeout=ANSWER_WITHIN_S))


def _has_tokenizer(names: Collection[str]) -> bool:
    return any(name in names for name in ("tokenizer.json", "tokenizer.model"))


def _licence(info: ModelInfo) -> str | None:
    """As its card names it."""
    found = info.card_data.license if info.card_data else None
    return found if isinstance(found, str) else None


def _system_prompt(recipe: Path) -> str:
    """The one that every conversation was trained with; empty where there is none, or several."""
    try:
        return load(recipe).data.system_prompt or ""
    except RecipeError:  # of another version of the studio
        return ""
