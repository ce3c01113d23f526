"""The file that says which files of a repository were published from here: only those are replaced or removed. No torch."""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download

from core.errors import HubError
from core.files import read_json
from core.hub.names import OF_ANY_REPOSITORY

NAME = "published.json"
BY = "Fine-Tuning Studio"


@dataclass(frozen=True)
class Marker:
    """What was published: of which step of a run, and the files."""

    step: int
    parts: list[str]
    precision: str | None
    files: list[str]
    by: str = BY

    def text(self) -> str:
        return json.dumps(asdict(self), indent=1)


def files_of(repository: str, token: str | None = None) -> list[str]:
    """What was published into a repository before; raises HubError where it holds something else.

    `token` is the Hub's, if another than this machine's.
    """
    found = HfApi(token=token).model_info(repository, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
    names = {sibling.rfilename for sibling in found.siblings or ()}
    if NAME in names:
        files = _read(repository, found.sha, token)
        return [name for name in files if name in names]
    if names - OF_ANY_REPOSITORY:
        raise HubError(
            f"{repository} holds something that was not published from here, so it is left alone. Choose another name."
        )
    return []


def _read(repository: str, commit: str | None, token: str | None) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="studio-publish-") as folder:
        file = hf_hub_download(repository, NAME, revision=commit, local_dir=folder, token=token)
        said = read_json(Path(file)) or {}
    if said.get("by") != BY or not isinstance(said.get("files"), list):
        raise HubError(f"{repository} has a {NAME} that is not ours, so it is left alone. Choose another name.")
    return [name for name in said["files"] if isinstance(name, str)]
