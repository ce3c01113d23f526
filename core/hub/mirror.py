"""Make a repository on the Hub hold what a job folder holds: one checkpoint more in a commit, the newest first."""

import shutil
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Any

from core.errors import HubError
from core.files import append_line
from core.hub.claim import claimed
from core.hub.contents import contents_of, held, manifest_hash, manifest_of, unlike_its_manifest
from core.hub.manifest import DATA, RUN, Manifest
from core.hub.passing import PassingTrouble, asked
from core.hub.repository import Head, Repository, TakenOver
from core.jobs.checkpoint import Checkpoint
from core.jobs.folder import Job


class Mirror:
    """Of one worker's life; `begun` is the event with which the worker began its backup."""

    def __init__(self, job: Job, begun: dict[str, Any]):
        self.job, self.begun = job, begun
        self.repository = Repository(begun["repository"], begun["writer"])
        self.head: Head | None = None
        self.last_words = self.result_is_up = False
        self.unusable: set[str] = set()
        self.said: set[str] = set()
        self.pruned = 0
        self.confirmed: tuple[int | None, bool] = (None, False)

    @property
    def replaced(self) -> bool:
        """Whether the job is gone, or a later worker has begun a backup of its own."""
        return not self.job.folder.is_dir() or self.job.newest_event("backup") != self.begun

    def step(self) -> bool:
        """Do the next thing that is due; False where there is none, or it cannot be done now. Raises HubError."""
        over = not self.job.status.live
        checkpoint = self._missing()
        ends = over or self.job.newest_event("waiting_for_backup") is not None
        if not (checkpoint or (ends and not self.result_is_up) or (over and not self.last_words)):
            return False
        if self.head is None:
            self.head = claimed(self.job, self.repository)
            self._confirm()
            return True  # it may hold more than was known: the answer to a commit can get lost
        pushed = self._push(checkpoint, ends)
        if pushed:
            self.result_is_up, self.last_words = ends, over and self._missing() is None
        return pushed

    def _missing(self) -> Checkpoint | None:
        """The newest checkpoint here that is not there."""
        for checkpoint in reversed(self.job.checkpoints):
            found = manifest_hash(checkpoint)
            there = self._files.get(f"{RUN}/checkpoints/{checkpoint.folder.name}/manifest.json")
            if found and found not in self.unusable and (there is None or there.sha256 != found):
                return checkpoint
        return None

    @property
    def _files(self) -> dict[str, Any]:
        return self.head.manifest.files if self.head and self.head.manifest else {}

    def _push(self, checkpoint: Checkpoint | None, with_result: bool) -> bool:
        """Bring the repository up to what is here, with one more checkpoint; False where that cannot be used."""
        safe = held(self.job, checkpoint) if checkpoint else None
        if checkpoint and safe is None:
            return False  # deleted meanwhile
        found = contents_of(self.job, safe, with_result, with_data=not self.head.manifest.data)
        if safe and (name := unlike_its_manifest(safe, found.pieces)):
            self.unusable.add(manifest_hash(safe) or "")
            self.event("backup_left_out", step=safe.step)
            self.say(
                f"The checkpoint of step {safe.step:,} is not backed up: its {name} is not what was written, or no file that goes along."
            )
            return False
        for sentence in found.left_behind:
            self.say(sentence)
        wanted = self._wanted(found.facts).model_copy(update={"data": found.data}).with_data(self.head.manifest)
        before = len(self.head.manifest.steps)
        self.head = self.repository.commit(self.head, wanted, found, self._tell)
        self.pruned += before + bool(safe) - len(self.head.manifest.steps)
        shutil.rmtree(self.job.files.backup_aside, ignore_errors=True)
        self._confirm()
        return True

    def tidy(self, least: int) -> None:
        """Give back what the pruned checkpoints take on the Hub, if there are so many; another time if that fails."""
        if self.pruned >= least:
            with suppress(HubError):
                asked(self.repository.id, self.repository.forget_history)
                self.pruned, self.head = 0, None

    def _wanted(self, fresh: dict[str, Any]) -> Manifest:
        kept = {path: facts for path, facts in self._files.items() if self._stays(path)}
        return manifest_of(self.job, self.repository.writer, kept | fresh)

    def _stays(self, path: str) -> bool:
        """Of what is there: data; a checkpoint as long as its folder is here, be it broken; the result."""
        if path.startswith(f"{DATA}/"):
            return True
        if path.startswith(f"{RUN}/checkpoints/"):
            return (self.job.files.checkpoints / path.split("/")[2]).is_dir()
        return self.job.final is not None and path.startswith(f"{RUN}/{self.job.final.name}/")

    def _confirm(self) -> None:
        """Say what is safe, where it is news."""
        known = self.head.manifest if self.head else None
        now = (known.step, known.has_result) if known else (None, False)
        if known and now not in ((None, False), self.confirmed):
            self.confirmed = now
            self.event("backed_up", step=known.step, has_result=known.has_result, commit=self.head.commit)

    def _tell(self, wanted: Manifest, done: int, total: int) -> None:
        if self.replaced:
            raise TakenOver("The run was resumed, and its new worker backs it up.")
        self.event("backing_up", step=wanted.step, done=done, total=total)

    def say(self, sentence: str) -> None:
        """A warning, once."""
        if sentence not in self.said:
            self.said.add(sentence)
            self.event("warning", text=sentence)

    def failed(self, error: HubError, since: float | None) -> float:
        """Say so, to a person once in an outage, to a waiting worker each time; since when it fails."""
        self.head = None
        step = self.confirmed[0]
        if since is None:
            safe = f"step {step:,} is safe on the Hub" if step else "nothing of it is on the Hub yet"
            self.event("warning", text=f"{error} The training goes on: {safe}, and what is missing goes up later.")
        since = since or time.time()
        self.event("backup_failed", text=str(error), refused=not isinstance(error, PassingTrouble), since=since)
        return since

    def broke(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """What a bug does, or a full disk: the events say so in a sentence, the log keeps the traceback."""
        text = (
            f"The backup has ended: {kind.__name__}: {error}. The log has the details. The training goes on without it."
        )
        self.event("warning", text=text)
        self.event("backup_failed", text=text, refused=True, since=time.time())
        sys.__excepthook__(kind, error, trace)

    def event(self, event: str, **more: Any) -> None:
        with suppress(FileNotFoundError):  # the job was deleted
            append_line(self.job.files.events, {"time": time.time(), "event": event} | more)
