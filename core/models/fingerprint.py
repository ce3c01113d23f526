"""Tell whether a model's files are still the same, without reading gigabytes."""

import hashlib
from pathlib import Path

from core import home
from core.files import read_json

# Training changes every tensor, so both ends of a weight file give a change away.
END_BYTES = 1_000_000
SHAPES = ("config.json", "*.safetensors")


def fingerprint(folder: Path) -> str:
    """SHA-256, as hex, over name, size and both ends of a model folder's configuration and weight files.

    A model without some of its layers is known by those and the model it was made from: another version of a library
    writes the same weights in another way, and a run that was brought here shall go on.
    """
    found = hashlib.sha256()
    if made := read_json(home.left_out_file(folder)):
        found.update(f"{made['base']} without {made['count']} from {made['first']}".encode())
        return found.hexdigest()
    for file in sorted(path for shape in SHAPES for path in folder.glob(shape)):
        size = file.stat().st_size
        found.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as opened:
            found.update(opened.read(END_BYTES))
            opened.seek(max(0, size - END_BYTES))
            found.update(opened.read())
    return found.hexdigest()
