"""A file on its way into `$STUDIO_HOME/uploads`: written in pieces under a hidden name, hashed on the way, then renamed.

The browser's upload and the page that uses it meet here, in the app's process: the page is handed a reference of random
letters that only this process has made, and whoever shows it first takes the file.
"""

import hashlib
import os
import secrets
import shutil
import time
from contextlib import suppress
from typing import BinaryIO

from core import home
from core.errors import DataError
from core.jobs.preflight import LEAST_FREE_BYTES
from studio import words

STALE_S = 24 * 3600
MARK = b"studio-upload:"
_ARRIVED: dict[bytes, "Arrival"] = {}


class Arrival:
    """One file. What goes wrong on the disk is kept for the page: the browser could show a number at best."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(32)
        self.path = home.upload_aside(self.token)
        self.size_bytes = 0
        self.problem: str | None = None
        self._digest = hashlib.sha256()
        self._file: BinaryIO | None = None

    def begin(self, expected_bytes: int = 0) -> None:
        """Open the file, if there is room for what is expected."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            sweep()
            self._make_room(expected_bytes)
            self._file = self.path.open("wb")
        except OSError as error:
            self._fail(_reason(error))

    def write(self, piece: bytes) -> None:
        """Append a piece; once something went wrong the rest is counted and let go."""
        self.size_bytes += len(piece)
        if self.problem:
            return
        try:
            self._make_room(len(piece))
            self._file.write(piece)
            self._digest.update(piece)
        except OSError as error:
            self._fail(_reason(error))

    def end(self) -> None:
        """Close the file; the last bytes may not fit either."""
        try:
            if self._file:
                self._file.close()
        except OSError as error:
            self._fail(_reason(error))

    def kept_as(self, stem: str, suffix: str) -> str:
        """Rename the whole file into place and return its new name; raises DataError where it did not arrive."""
        if self.problem:
            raise DataError(self.problem)
        if not self.size_bytes:
            raise DataError("The uploaded file is empty. Choose one with rows.")
        kept = home.inside(home.uploads_folder(), f"{stem}-{self._digest.hexdigest()[:8]}{suffix}")
        try:
            self.path.replace(kept)
        except OSError as error:
            raise DataError(_not_kept(_reason(error))) from None
        return kept.name

    def discard(self) -> None:
        """Leave nothing; a file that was kept has another name by now."""
        _ARRIVED.pop(self.reference, None)
        self.end()
        self.path.unlink(missing_ok=True)

    @property
    def reference(self) -> bytes:
        return MARK + self.token.encode()

    def offer(self) -> bytes:
        """The reference by which the page takes the file, once."""
        _ARRIVED[self.reference] = self
        return self.reference

    def _make_room(self, more_bytes: int) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if free < more_bytes + LEAST_FREE_BYTES:
            self._fail(f"{words.size(free)} are free, and {words.size(LEAST_FREE_BYTES)} of them are left for the runs")

    def _fail(self, reason: str) -> None:
        """Give back at once what the file has taken of the disk."""
        self.problem = self.problem or _not_kept(reason)
        if self._file:
            os.ftruncate(self._file.fileno(), 0)


def taken(reference: bytes) -> Arrival | None:
    """The file of a reference, which is used up; None for anything else."""
    return _ARRIVED.pop(reference, None)


def sweep() -> None:
    """Remove what was left by an app that was killed, or by a tab that was closed at the wrong moment."""
    for path in home.uploads_aside():
        with suppress(FileNotFoundError):  # it has just been kept
            if path.stat().st_mtime < time.time() - STALE_S:
                path.unlink()


def _reason(error: OSError) -> str:
    return (error.strerror or "unknown reason").lower()


def _not_kept(reason: str) -> str:
    return (
        f"The uploaded file could not be kept in {home.uploads_folder()}: {reason}. Make space there, or set STUDIO_HOME to "
        "a disk with room, and upload it again."
    )
