"""`python -m core.hub.backup FOLDER`: back a training up while it trains, from a process of its own.

It follows the job folder at the lowest priority, so the training neither waits for it nor shares its interpreter with it. It
outlives a killed worker, catches up after an outage, and ends when nothing is left to do. The job's end kills it only where
the whole job is killed. What it does stands in the job's events; what is safe is what the Hub has confirmed.
"""

import os
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout
from huggingface_hub.errors import HfHubHTTPError

from core.errors import HubError
from core.files import append_line
from core.hub.contents import contents_of, held, manifest_hash, unlike_its_manifest
from core.hub.manifest import RUN, Manifest
from core.hub.passing import bear_no_silence, passes
from core.hub.refusals import hub_errors_in_words
from core.hub.repository import Head, Repository, TakenOver
from core.jobs.checkpoint import Checkpoint
from core.jobs.folder import Job

LOOK_EVERY_S = 0.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
# So long after its job is over it goes on trying.
PATIENCE_S = 3600.0


class Backup:
    """One worker's backup."""

    def __init__(self, job: Job, begun: dict[str, Any]):
        self.job, self.begun = job, begun
        self.repository = Repository(begun["repository"], begun["writer"])
        self.head: Head | None = None
        self.done = self.result_is_up = False
        self.broken: set[str] = set()
        self.said: set[str] = set()
        self.confirmed: tuple[int | None, bool] = (None, False)

    @property
    def replaced(self) -> bool:
        """Whether the job is gone, or a later worker has a backup process of its own."""
        return not self.job.folder.is_dir() or self.job.newest_event("backup") != self.begun

    def look(self) -> bool:
        """Do the next thing that is due, if any; whether there was one."""
        over = not self.job.status.live
        due = self._missing()
        with_result = over or self.job.newest_event("waiting_for_backup") is not None
        if due is None and not (with_result and not self.result_is_up) and not (over and not self.done):
            return False
        self._push(due, with_result)
        if due is None:
            self.result_is_up = with_result
            self.done = over
        return True

    def _missing(self) -> Checkpoint | None:
        """The newest checkpoint here that is not there."""
        there = self.head.manifest.files if self.head and self.head.manifest else {}
        for checkpoint in reversed(self.job.checkpoints):
            facts = there.get(f"{_place(checkpoint)}manifest.json")
            found = manifest_hash(checkpoint)
            if found and found not in self.broken and (facts is None or facts.sha256 != found):
                return checkpoint
        return None

    def _push(self, checkpoint: Checkpoint | None, with_result: bool) -> None:
        """Bring the repository up to what is here, with one more checkpoint; raises HubError."""
        if self.head is None:
            self.head = self._claimed()
            self._confirm()
            if checkpoint and self._missing() is None:
                return  # the answer to an earlier commit was lost
        safe = held(self.job, checkpoint) if checkpoint else None
        if checkpoint and safe is None:
            return
        found = contents_of(self.job, safe, with_result)
        if safe and (name := unlike_its_manifest(safe, found.pieces)):
            self.broken.add(manifest_hash(safe) or "")
            self._say(f"The checkpoint of step {safe.step:,} is not backed up: {name} is not what was written.")
            return
        for sentence in found.left_behind:
            self._say(sentence)
        step = checkpoint.step if checkpoint else self._newest_step()
        message = f"Step {step:,}" if step else "No checkpoint yet"
        wanted = manifest_of(self.job, self.repository.writer, self.head.manifest)
        files = {path: facts for path, facts in wanted.files.items() if self._stays(path)}
        files |= {path: piece.facts for path, piece in found.pieces.items()}
        wanted = wanted.model_copy(update={"files": files, "data": found.data})
        self.head = self.repository.commit(self.head, wanted, found, message, lambda done, total: self._tell(step, done, total))
        shutil.rmtree(self.job.files.backup_aside, ignore_errors=True)
        self._confirm()

    def _claimed(self) -> Head:
        """The repository, taken hold of now where the worker could not reach it."""
        if self.begun["claimed"]:
            return self.repository.head_of_ours()
        from core.hub.backing import claim_now

        return claim_now(self.job, self.repository)

    def _stays(self, path: str) -> bool:
        """Of what is there: a checkpoint as long as its folder is here, even a broken one, and the result."""
        if path.startswith(f"{RUN}/checkpoints/"):
            return (self.job.files.checkpoints / path.split("/")[2]).is_dir()
        return self.job.final is not None and path.startswith(f"{RUN}/{self.job.final.name}/")

    def _newest_step(self) -> int | None:
        return self.head.manifest.step if self.head and self.head.manifest else None

    def _confirm(self) -> None:
        """Say what is safe, once: the Hub has answered with a commit that holds it."""
        known = self.head.manifest if self.head else None
        if known is None or (known.step is None and not known.has_result):
            return
        now = (known.step, known.has_result)
        if now != self.confirmed:
            self.confirmed = now
            self._event("backed_up", step=known.step, has_result=known.has_result, commit=self.head.commit)

    def _tell(self, step: int | None, done: int, total: int) -> None:
        if self.replaced:
            raise TakenOver("The run was resumed, and its new worker has a backup of its own.")
        self._event("backing_up", step=step or 0, done=done, total=total)

    def _say(self, sentence: str) -> None:
        if sentence not in self.said:
            self.said.add(sentence)
            self._event("warning", text=sentence)

    def failed(self, error: HubError, refused: bool, since: float) -> None:
        """Say so: to a person once in an outage, to a waiting worker each time."""
        if time.time() - since < LOOK_EVERY_S:
            safe = self.confirmed[0]
            kept = f"step {safe:,} is safe on the Hub" if safe else "nothing is on the Hub yet"
            self._event("warning", text=f"{error} The training goes on; {kept}, the rest goes up later.")
        self._event("backup_failed", text=str(error), refused=refused, since=since)
        self.head = None

    def _event(self, event: str, **more: Any) -> None:
        with suppress(FileNotFoundError):  # the job was deleted
            append_line(self.job.files.events, {"time": time.time(), "event": event} | more)


def manifest_of(job: Job, writer: str, before: Manifest | None) -> Manifest:
    """What the backup of a job is called, with the files that are there already."""
    facts = {"name": job.name, "writer": writer, "total_steps": job.total_steps, "status": str(job.status)}
    return before.model_copy(update=facts) if before else Manifest(job=job.id, **facts)


def follow(backup: Backup) -> None:
    """Back up whatever comes until the job is over and all of it is safe; tried again ever more slowly where it fails."""
    pause, since, over_since = FIRST_PAUSE_S, 0.0, 0.0
    while not backup.replaced:
        if backup.job.status.live:
            over_since = time.time()
        try:
            worked, refused = _tried(backup)
        except TakenOver as error:
            backup._say(str(error))
            return
        except HubError as error:
            since = since or time.time()
            backup.failed(error, not passes_now(error), since)
            if time.time() - over_since > PATIENCE_S:
                return
            _sleep(backup, pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)
            continue
        pause, since = FIRST_PAUSE_S, 0.0
        if not worked:
            if backup.done:
                return
            _sleep(backup, LOOK_EVERY_S)
