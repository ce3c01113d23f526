"""The publish job: make what is asked, then bring it to the Hub in one commit, so that a repository never has half of it.

What a transfer that breaks off has brought there stays there, and is not sent again when the job goes on.
"""

from pathlib import Path

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import RepositoryNotFoundError

from core.errors import HubError
from core.export.make import Maker
from core.export.ollama import files_on_the_hub
from core.files import remove_whole
from core.hub import account, marker
from core.hub.about import about_files
from core.hub.card_contents import BESIDE
from core.hub.publication import Publication
from core.hub.refusals import SIGN_IN
from core.hub.upload import Upload, patiently
from core.jobs.asked import read
from core.jobs.worker import Worker


def run(worker: Worker) -> None:
    """Do the whole job; raises StudioError with a sentence for the person."""
    asked = read(worker.job, Publication)
    # First of all: nobody wants to hear after an hour of merging that the name is taken.
    worker.progress(f"Looking for {asked.repository}", 0, 1)
    before = _open(asked)
    maker = Maker(worker, asked)
    maker.make()
    files = _files(maker, asked)
    said = marker.Marker(maker.facts.steps, list(maker.parts), maker.precision_written, sorted(files))
    upload = Upload(
        asked.repository,
        files | {marker.NAME: said.text().encode()},
        gone=[name for name in before if name not in files],
        message=_message(maker),
    )
    commit = upload.bring(worker.progress)
    worker.event("published", repository=asked.repository, commit=commit)
    remove_whole(worker.files.made, worker.files.scratch / "made")
    worker.finish("finished", f"Published at {address(asked)}.", commit=commit)


def address(asked: Publication) -> str:
    """Where it can be looked at."""
    return f"{constants.ENDPOINT}/{asked.repository}"


def _open(asked: Publication) -> list[str]:
    """Make the repository, or see that it is ours to change, and as private as asked for; the files it has from us.

    Raises HubError.
    """
    token = get_token()
    if token is None:
        raise HubError(f"To publish {asked.repository}, the Hub must know who you are: {SIGN_IN}.")
    who = patiently(asked.repository, lambda: account.who(token))
    if not who.may_write(asked.repository):
        where = " and ".join(who.writable) or "nowhere"
        raise HubError(
            f"The token of {who.name} may not write to {asked.repository}: it may write to {where}. Choose another owner, or "
            "sign in with another token."
        )
    return patiently(asked.repository, lambda: _opened(asked))


def _opened(asked: Publication) -> list[str]:
    api = HfApi()
    try:
        found = api.model_info(asked.repository)
    except RepositoryNotFoundError:
        api.create_repo(asked.repository, private=asked.private is not False)
        return []
    before = marker.files_of(asked.repository)
    if asked.private not in (None, found.private):
        api.update_repo_settings(asked.repository, private=asked.private)
    return before


def _files(maker: Maker, asked: Publication) -> dict[str, Path | bytes]:
    """Path in the repository -> contents: the parts, then what is told about them."""
    both = len(maker.parts) == 2
    found: dict[str, Path | bytes] = {}
    for part in maker.parts:
        under = f"{BESIDE}/" if both and part == "adapter" else ""
        folder = maker.folder(part)
        found |= {
            f"{under}{file.relative_to(folder).as_posix()}": file
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
    if maker.gguf:
        found |= files_on_the_hub(maker.tokenizer, maker.facts.system_prompt)
    return found | about_files(maker, asked.repository, maker.parts)


def _message(maker: Maker) -> str:
    what = " and ".join(
        {"adapter": "adapter", "merged": "whole model", "gguf": "GGUF file"}[part] for part in maker.parts
    )
    return f"Publish the {what} of step {maker.facts.steps:,}"
