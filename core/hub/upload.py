"""Bring files to a repository on the Hub in one commit: large ones first, one by one, so that what has arrived stays."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from core.hub import passing
from core.models.progress import Progress

# Smaller ones go in one request, with the commit.
LARGE_BYTES = 1_000_000
# Before the second try, the third and the last; the client itself has tried a transfer several times by then.
WAITS_S = (2.0, 10.0, 30.0)


@dataclass(frozen=True)
class Upload:
    """What becomes of a repository: files by their path in it, and those of before that go."""

    repository: str
    files: dict[str, Path | bytes]
    gone: list[str]
    message: str

    def bring(self, tell: Progress) -> str:
        """The commit; raises HubError where it does not come about, and then the repository is as it was."""
        adding = [CommitOperationAdd(path, contents) for path, contents in self.files.items()]
        total = sum(addition.upload_info.size for addition in adding)
        done = 0
        for addition in sorted(adding, key=lambda each: each.upload_info.size):
            if addition.upload_info.size >= LARGE_BYTES:
                tell(f"Uploading {addition.path_in_repo}", done, total)
                self._send(addition)
            done += addition.upload_info.size
        tell("Uploading", total, total)
        return patiently(self.repository, lambda: self._commit(adding))

    def _send(self, addition: CommitOperationAdd) -> None:
        send = HfApi().preupload_lfs_files
        patiently(self.repository, lambda: send(self.repository, [addition], num_threads=1, free_memory=False))

    def _commit(self, adding: list[CommitOperationAdd]) -> str:
        # Looked at anew each time: a commit whose answer was lost has removed them already.
        there = HfApi().list_repo_files(self.repository) if self.gone else []
        gone = [CommitOperationDelete(path) for path in self.gone if path in there]
        return HfApi().create_commit(self.repository, [*adding, *gone], commit_message=self.message).oid


def patiently(what: str, ask: Callable[[], passing.Answer]) -> passing.Answer:
    """What the Hub answers, asked again a few times where the trouble may pass; raises HubError."""
    return passing.patiently(what, ask, WAITS_S)
