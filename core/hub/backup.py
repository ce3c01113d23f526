"""`python -m core.hub.backup FOLDER`: back a training up while it trains, from a process of its own.

It follows the job folder at the lowest priority, so the training neither waits for it nor shares its interpreter with it. It
outlives a killed worker, catches up after an outage, and ends when nothing is left to do. Only who ends the whole job at once
ends it too. What it does stands in the job's events; safe is what the Hub has confirmed.
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
from huggingface_hub.utils import disable_progress_bars

from core.errors import HubError
from core.files import append_line
from core.hub.claim import claimed
from core.hub.contents import contents_of, held, manifest_hash, manifest_of, unlike_its_manifest
from core.hub.manifest import DATA, RUN, Manifest
from core.hub.passing import PassingTrouble, asked, bear_no_silence
from core.hub.repository import Head, Repository, TakenOver
from core.jobs.checkpoint import Checkpoint
from core.jobs.folder import Job

LOOK_EVERY_S = 0.5
MANY_PRUNED = 10
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
# So long after its job is over it goes on trying.
PATIENCE_S = 3600.0


class Backup:
    """The backup of one worker's life; `begun` is the event with which the worker began it."""

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
        """Do the next thing that is due; False where there is none. Raises HubError."""
        over = not self.job.status.live
        checkpoint = self._missing()
        ends = over or self.job.newest_event("waiting_for_backup") is not None
        if not (checkpoint or (ends and not self.result_is_up) or (over and not self.last_words)):
            return False
        if self.head is None:
            self.head = claimed(self.job, self.repository)
            self._confirm()
            return True  # it may hold more than was known: the answer to a commit can get lost
        if self._push(checkpoint, ends):
            self.result_is_up, self.last_words = ends, over and self._missing() is None
        return True

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
            self.say(f"The checkpoint of step {safe.step:,} is not backed up: its {name} is not what was written.")
            return False
        for sentence in found.left_behind:
            self.say(sentence)
        wanted = self._wanted(found.facts).model_copy(update={"data": found.data}).with_data(self.head.manifest)
        before = len(self.head.manifest.steps)
        self.head = self.repository.commit(self.head, wanted, found, self._tell)
        self.pruned += before + bool(safe) - len(self.head.manifest.steps)
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

    def event(self, event: str, **more: Any) -> None:
        with suppress(FileNotFoundError):  # the job was deleted
            append_line(self.job.files.events, {"time": time.time(), "event": event} | more)


def follow(backup: Backup) -> None:
    """Back up whatever comes until the job is over and all of it is safe; tried again ever more slowly where it fails."""
    pause, since, live_at = FIRST_PAUSE_S, None, time.time()
    while not backup.replaced and not backup.last_words and time.time() - live_at < PATIENCE_S:
        live_at = time.time() if backup.job.status.live else live_at
        try:
            worked = asked(backup.repository.id, backup.step)
        except TakenOver as error:
            backup.say(str(error))
            return
        except HubError as error:
            since = backup.failed(error, since)
            sleep(backup, pause)
            pause = min(LONGEST_PAUSE_S, 2 * pause)
            continue
        pause, since = FIRST_PAUSE_S, None
        backup.tidy(1 if backup.last_words else MANY_PRUNED)
        if not worked:
            sleep(backup, LOOK_EVERY_S)


def sleep(backup: Backup, seconds: float) -> None:
    """For so long, or until there is nothing to wait for."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not backup.replaced:
        time.sleep(min(LOOK_EVERY_S, seconds))


def main(folder: Path) -> None:
    os.nice(19)
    with suppress(AttributeError, psutil.Error, OSError):  # where the system has no such thing
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
    bear_no_silence()
    disable_progress_bars()
    job = Job(folder)
    if begun := job.newest_event("backup"):
        take_turn(Backup(job, begun))


def take_turn(backup: Backup) -> None:
    """A worker before this one may have left a backup that is ending; never two at once."""
    while not backup.replaced:
        with suppress(Timeout), FileLock(backup.job.files.backup_lock).acquire(timeout=1):
            follow(backup)
            shutil.rmtree(backup.job.files.backup_aside, ignore_errors=True)
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
