"""The repository of a backup: take hold of it, see what it holds, and change it in whole commits."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download

from core.errors import HubError
from core.hub import manifest
from core.hub.backups import TAG
from core.hub.contents import Contents, manifest_of, recipe_alone
from core.hub.manifest import Manifest
from core.hub.names import OF_ANY_REPOSITORY
from core.hub.upload import LARGE_BYTES
from core.jobs.folder import Job

# (what it becomes, bytes that are there, of how many)
Uploaded = Callable[[Manifest, int, int], None]


def silent(wanted: Manifest, done: int, total: int) -> None:
    """For callers that do not watch."""


@dataclass(frozen=True)
class Head:
    """The repository as it is now: its commit, and what it says it holds; None while it is empty."""

    commit: str
    manifest: Manifest | None


class TakenOver(HubError):
    """Another worker of the same run writes this backup now."""


@dataclass(frozen=True)
class Repository:
    """A private repository on the Hub; `writer` is the life of the worker on whose behalf it is written."""

    id: str
    writer: str

    def claim(self, job: Job) -> Head:
        """Make it where it is missing, and become the one who writes it; raises HubError where it is not ours to use."""
        HfApi().create_repo(self.id, private=True, exist_ok=True)
        head = self.head()
        if head.manifest and head.manifest.job != job.id:
            raise HubError(
                f"checkpoints.hub_backup: {self.id} holds the backup of another run, {head.manifest.job}. Give a name "
                "that is free."
            )
        if head.manifest and head.manifest.writer == self.writer:
            return head
        _refuse_to_go_back(head.manifest, job, self.id)
        before = head.manifest.files if head.manifest else {}
        first = recipe_alone(job)
        mine = manifest_of(job, self.writer, before | first.facts)
        return self.commit(head, mine.with_data(head.manifest), first)

    def head(self) -> Head:
        """What it holds now; raises HubError where it is no place for a backup."""
        found = HfApi().model_info(self.id)
        names = {sibling.rfilename for sibling in found.siblings or ()}
        if not found.private:
            raise HubError(
                f"checkpoints.hub_backup: {self.id} is public, and a backup holds your data. Make it private on the Hub, or give "
                "another name."
            )
        if manifest.NAME in names:
            return Head(found.sha, fetch_manifest(self.id, found.sha))
        if names - OF_ANY_REPOSITORY:
            raise HubError(f"checkpoints.hub_backup: {self.id} holds something else. Give a name that is free.")
        return Head(found.sha, None)

    def head_of_ours(self) -> Head:
        """What it holds now, where it was claimed; raises TakenOver where another worker has claimed it since."""
        head = self.head()
        if head.manifest and head.manifest.writer != self.writer:
            raise TakenOver(
                f"The run was restored elsewhere and is backed up in {self.id} from there. This worker leaves it alone."
            )
        return head

    def commit(self, head: Head, wanted: Manifest, contents: Contents, uploaded: Uploaded = silent) -> Head:
        """Bring the repository from `head` to `wanted` in one commit, or leave it as it is."""
        before = head.manifest.files if head.manifest else {}
        adding = [
            CommitOperationAdd(path, piece.contents)
            for path, piece in contents.pieces.items()
            if before.get(path) != piece.facts
        ]
        _send_large_files(self.id, adding, lambda done, total: uploaded(wanted, done, total))
        said = wanted.model_dump_json(indent=1).encode()
        adding += [CommitOperationAdd(manifest.NAME, said), CommitOperationAdd("README.md", _readme(self.id, wanted))]
        gone = [CommitOperationDelete(path) for path in before if path not in wanted.files]
        message = f"Step {wanted.step:,}" if wanted.step else "Begin the backup"
        made = HfApi().create_commit(self.id, [*adding, *gone], commit_message=message, parent_commit=head.commit)
        return Head(made.oid, wanted)

    def forget_history(self) -> None:
        """Leave only what it holds now: what was pruned takes room on the Hub for as long as an old commit has it."""
        HfApi().super_squash_history(self.id)


def _refuse_to_go_back(found: Manifest | None, job: Job, repository: str) -> None:
    """Raise HubError where the run went on elsewhere: to write what is here would remove what was trained there."""
    writers = {event.get("writer") for event in job.events if event["event"] == "backup"}
    here = job.checkpoints[-1].step if job.checkpoints else 0
    if found and found.writer not in writers and (found.step or 0) > here:
        raise HubError(
            f"checkpoints.hub_backup: {repository} holds step {found.step:,} of this run, which was trained on another "
            f"machine; here it is at step {here:,}. Delete the run here and restore it from there, or start a new run from "
            "this checkpoint."
        )


def fetch_manifest(repository: str, commit: str) -> Manifest:
    """What a repository says it holds at a commit; raises HubError where it cannot be trusted."""
    with tempfile.TemporaryDirectory(prefix="studio-backup-") as folder:
        path = Path(hf_hub_download(repository, manifest.NAME, revision=commit, local_dir=folder))
        if path.stat().st_size > manifest.LONGEST_BYTES:
            raise HubError(f"{repository} cannot be trusted as a backup: its {manifest.NAME} is too large.")
        return manifest.read(path.read_bytes(), repository)


def _send_large_files(repository: str, adding: list[CommitOperationAdd], uploaded: Callable[[int, int], None]) -> None:
    """One after the other, so that they can be counted and leave the machine to the training."""
    total = sum(addition.upload_info.size for addition in adding)
    done = sum(addition.upload_info.size for addition in adding if addition.upload_info.size < LARGE_BYTES)
    uploaded(0, total)
    for addition in (addition for addition in adding if addition.upload_info.size >= LARGE_BYTES):
        HfApi().preupload_lfs_files(repository, [addition], num_threads=1, free_memory=False)
        done += addition.upload_info.size
        uploaded(done, total)


def _readme(repository: str, wanted: Manifest) -> bytes:
    """The page on the Hub; what the studio lists of a backup stands in its metadata."""
    facts = {"job": wanted.job, "name": wanted.name, "step": wanted.step, "total_steps": wanted.total_steps}
    facts |= {"status": wanted.status, "size_bytes": wanted.size_bytes}
    about = yaml.safe_dump({"tags": [TAG], "backup": facts}, sort_keys=False)
    return (
        f"---\n{about}---\n# Backup of a training: {wanted.name}\n\nWritten by Fine-Tuning Studio while it trains. Bring it back, "
        f"and go on with it, on any machine:\n\n    python -m core restore {repository}\n"
    ).encode()
