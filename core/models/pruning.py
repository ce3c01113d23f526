"""The base that a run is trained on: a model as it is, or written once more without some of its layers. This imports torch."""

import json
import re
import shutil
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from torch import nn
from transformers import PreTrainedModel

from core import home
from core.errors import ModelError
from core.export.size import check_disk, merged_bytes
from core.files import read_json, whole_folder, write_whole
from core.models import hub
from core.models.fingerprint import fingerprint
from core.models.give_back import give_back
from core.models.layer_distance import distances
from core.models.left_out import LeftOut, hindrance
from core.models.load import Found, fetch
from core.models.precision import precision_of
from core.models.progress import Progress, silent
from core.models.shape import shape_in
from core.models.whole_model import whole_model

# Enough to tell any two models apart.
DIGITS = 12
SHARD = "2GB"


def fetch_base(
    source: str,
    revision: str | None = None,
    left_out: LeftOut | None = None,
    progress: Progress = silent,
    weights: bool = True,
    code: bool = False,
) -> Found:
    """As `load.fetch`; with layers left out the folder is that of the smaller model, which is made where it is not there.

    Without its weights a model is the same with all its layers.
    """
    if not left_out or not weights:
        return fetch(source, revision, progress, weights, code)
    _check(fetch(source, revision, progress, False, code), left_out)  # before gigabytes of weights
    return _without(fetch(source, revision, progress, True, code), Path(source).name, left_out, progress)


def _check(found: Found, left_out: LeftOut) -> None:
    """Raise ModelError where so many layers cannot be left out."""
    if problem := hindrance(left_out.count, _config(found)):
        raise ModelError(problem)


def _config(found: Found) -> dict[str, Any]:
    return read_json(found.folder / "config.json") or {}


def _without(found: Found, name: str, left_out: LeftOut, progress: Progress) -> Found:
    """The smaller model, written once."""
    same = fingerprint(found.folder)
    key = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)[:60]}-{same[:DIGITS]}"
    home.models_folder().mkdir(parents=True, exist_ok=True)
    # Whoever wants what is there, as a chat does, does not wait for minutes until another model is made.
    with nullcontext() if _is_made(key, left_out) else FileLock(home.pruning_lock()):
        chosen = _chosen(found, key, left_out, progress)
        folder = home.pruned_folder(key, chosen.first, chosen.count)
        if not home.left_out_file(folder).exists():
            _write(found, chosen, folder, same, progress)
    return replace(found, folder=folder, whole=found.folder, left_out=chosen)


def _is_made(key: str, left_out: LeftOut) -> bool:
    """Whether the smaller model is there, where it is known which layers it is without."""
    first = left_out.first
    return first is not None and home.left_out_file(home.pruned_folder(key, first, left_out.count)).exists()


def _chosen(found: Found, key: str, left_out: LeftOut, progress: Progress) -> LeftOut:
    """The block that a run has begun with, or the one of so many layers that changes least."""
    layers = _config(found)["num_hidden_layers"]
    if left_out.first is not None:
        return replace(left_out, of=layers)
    turned = distances(found, key, progress)[left_out.count - 1]
    give_back()  # the training is measured by what it holds itself
    return LeftOut(left_out.count, min(range(len(turned)), key=turned.__getitem__), layers)


def _write(found: Found, left_out: LeftOut, folder: Path, same: str, progress: Progress) -> None:
    """The model as it was written, with its tokenizer and settings."""
    progress(f"Leaving out {left_out.words}", 0, 1)
    _check_disk(found, left_out)
    aside = home.pruned_aside()
    with whole_model(found, "cpu") as model, whole_folder(aside, folder, home.left_out_file(folder)):
        shorten(model, left_out)
        model.save_pretrained(aside, max_shard_size=SHARD)
        for file in _beside_weights(found.folder):
            if not (aside / file.name).exists():
                shutil.copy2(file, aside / file.name)
        write_whole(home.left_out_file(aside), json.dumps({"base": same} | asdict(left_out), indent=1))


def _check_disk(found: Found, left_out: LeftOut) -> None:
    """Raise JobError before the weights are written: of a full disk their library makes an error of its own."""
    shape = shape_in(_config(found))
    kept = shape.without(left_out.count).parameters / shape.parameters
    check_disk(int(merged_bytes(found.folder, precision_of(found)) * kept), f"the model without {left_out.words}")


def shorten(model: PreTrainedModel, left_out: LeftOut) -> None:
    """Take the layers out of a model that is to be written, and whatever its configuration says of each.

    In memory the others keep the numbers they had, under which a cache would look for them.
    """
    decoder, config = model.get_decoder(), model.config
    kept = [number for number in range(config.num_hidden_layers) if number not in left_out.numbers]
    of_each = {name: value for name, value in config.to_dict().items() if _is_of_each(value, config.num_hidden_layers)}
    decoder.layers = nn.ModuleList(decoder.layers[number] for number in kept)
    config.num_hidden_layers = len(kept)
    for name, value in of_each.items():
        setattr(config, name, [value[number] for number in kept])


def _is_of_each(value: object, layers: int) -> bool:
    """Whether it is one thing for each layer, such as `layer_types`."""
    return isinstance(value, list) and len(value) == layers


def _beside_weights(folder: Path) -> list[Path]:
    """The tokenizer's files and what else a model has, but no list of the weights that it had."""
    files = (file for pattern in hub.FILES for file in folder.glob(pattern))
    return [file for file in files if file.is_file() and not file.name.endswith(".index.json")]
