"""What the linear layers of a model are called, read from the heads of its weight files: no torch, no network."""

import json
from functools import lru_cache
from pathlib import Path

from core import catalog, home
from core.where import Place, local_path, place_of

# Tables that are looked up, not multiplied with; the output layer is often the embedding itself.
NO_LAYERS = ("embed", "wte", "wpe", "lm_head", "output_layer")
LONGEST_HEAD = 50_000_000


def linear_names(source: str) -> list[str]:
    """Their names without the layer's number, such as `q_proj`; of a model that is not here, the catalog's, or none."""
    folder = {Place.STARTER: home.starter_folder(), Place.LOCAL: local_path(source)}.get(place_of(source))
    files = sorted(folder.glob("*.safetensors")) if folder and folder.is_dir() else []
    found = _names(tuple((file, file.stat().st_mtime_ns) for file in files))
    known = catalog.model(source)
    return list(found) or (list(known.projections) if known else [])


@lru_cache(maxsize=16)
def _names(files: tuple[tuple[Path, int], ...]) -> tuple[str, ...]:
    shapes = {name: facts["shape"] for file, _ in files for name, facts in _head(file).items() if "shape" in facts}
    matrices = [
        name.removesuffix(".weight") for name, shape in shapes.items() if name.endswith(".weight") and len(shape) == 2
    ]
    layers = [name for name in matrices if not any(word in name for word in NO_LAYERS)]
    return tuple(dict.fromkeys(name.rpartition(".")[2] for name in layers))


def _head(file: Path) -> dict[str, dict]:
    """Tensor name -> dtype, shape and place (the format: huggingface.co/docs/safetensors); empty where it has none."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > LONGEST_HEAD:
            return {}
        try:
            found = json.loads(opened.read(length))
        except ValueError:
            return {}
    return found if isinstance(found, dict) else {}
