"""Keep an uploaded file under `$STUDIO_HOME/uploads`. Its own name is only a hint: it never becomes a path."""

import hashlib
import os
import re
from typing import BinaryIO

from core import home
from core.data.readers.table import READERS
from core.errors import DataError

CHUNK_BYTES = 1 << 20
LONGEST_NAME = 60


def keep_upload(file: BinaryIO, name: str) -> str:
    """Copy a file in pieces and return it as a recipe's source, `uploads/…`; the same content gets the same name."""
    folder = home.uploads_folder()
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".new-{os.getpid()}-{id(file)}"
    digest = hashlib.sha256()
    try:
        with aside.open("wb") as copy:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                copy.write(chunk)
        if not aside.stat().st_size:
            raise DataError("The uploaded file is empty. Choose one with rows.")
        kept = home.inside(folder, f"{safe_stem(name)}-{digest.hexdigest()[:8]}{safe_suffix(name)}")
        aside.replace(kept)
    finally:
        aside.unlink(missing_ok=True)
    return f"uploads/{kept.name}"


def safe_suffix(name: str) -> str:
    """A file name's ending, if it is one that is read; else that of JSON Lines."""
    return next((suffix for suffix in READERS if name.lower().endswith(suffix)), ".jsonl")


def safe_stem(name: str) -> str:
    """A file name's letters, digits, dashes and underscores, without folders and ending; `data` if none is left."""
    stem = re.split(r"[/\\]", name)[-1].rsplit(".", 1)[0]
    return re.sub(r"[^A-Za-z0-9_]+", "-", stem).strip("-")[:LONGEST_NAME] or "data"
