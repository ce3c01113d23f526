"""Keep an uploaded file under `$STUDIO_HOME/uploads`. Its own name is only a hint: it never becomes a path."""

import re
from typing import BinaryIO

from core.ascii_name import of_a_word, spelt
from core.data.readers.table import READERS
from studio.arrival import Arrival, taken

CHUNK_BYTES = 1 << 20
LONGEST_NAME = 60
LONGEST_NAME_BYTES = 120  # a letter of another script takes up to four


def keep_upload(file: BinaryIO, name: str) -> str:
    """Keep a file and return it as a recipe's source, `uploads/…`; the same content gets the same name. Raises DataError.

    What the server has written to the disk already (studio/streamed.py) is renamed, anything else copied in pieces.
    """
    first = file.read(CHUNK_BYTES)
    arrival = taken(first) or _copied(first, file)
    try:
        return f"uploads/{arrival.kept_as(safe_stem(name), safe_suffix(name))}"
    finally:
        arrival.discard()


def _copied(first: bytes, rest: BinaryIO) -> Arrival:
    arrival = Arrival()
    arrival.begin()
    piece = first
    while piece:
        arrival.write(piece)
        piece = rest.read(CHUNK_BYTES)
    arrival.end()
    return arrival


def safe_suffix(name: str) -> str:
    """A file name's ending, if it is one that is read; else that of JSON Lines."""
    return next((suffix for suffix in READERS if name.lower().endswith(suffix)), ".jsonl")


def safe_stem(name: str) -> str:
    """A file name's letters, digits, dashes and underscores, without folders and ending; `data` if none is left."""
    stem = re.split(r"[/\\]", name)[-1].rsplit(".", 1)[0]
    kept = "".join(sign if of_a_word(sign) or sign == "_" else " " for sign in spelt(stem))
    short = "-".join(kept.split())[:LONGEST_NAME].encode()[:LONGEST_NAME_BYTES]
    return short.decode(errors="ignore") or "data"
