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

import psutil
from filelock import FileLock, Timeout
from huggingface_hub.utils import disable_progress_bars

from core.errors import HubError
from core.hub.mirror import Mirror
from core.hub.passing import asked
from core.hub.patience import bear_silence
from core.hub.repository import TakenOver
from core.jobs.folder import Job

LOOK_EVERY_S = 0.5
MANY_PRUNED = 10
SILENCE_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
# So long after its job is over it goes on trying.
PATIENCE_S = 3600.0


def follow(mirror: Mirror) -> None:
    """Back up whatever comes until the job is over and all of it is safe; tried again ever more slowly where it fails."""
    pause, since, live_at = FIRST_PAUSE_S, None, time.time()
    while not mirror.replaced and not mirror.last_words and time.time() - live_at < PATIENCE_S:
        live_at = time.time() if mirror.job.status.live else live_at
        try:
            worked = asked(mirror.repository.id, mirror.step)
        except TakenOver as error:
            mirror.say(str(error))
            return
        except HubError as error:
            since = mirror.failed(error, since)
            sleep(mirror, pause)
            pause = min(LONGEST_PAUSE_S, 2 * pause)
            continue
        pause, since = FIRST_PAUSE_S, None
        # At the end in any case: what an earlier life has pruned is not counted here.
        mirror.tidy(0 if mirror.last_words else MANY_PRUNED)
        if not worked:
            sleep(mirror, LOOK_EVERY_S)


def sleep(mirror: Mirror, seconds: float) -> None:
    """For so long, or until there is nothing to wait for."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not mirror.replaced:
        time.sleep(min(LOOK_EVERY_S, seconds))


def main(folder: Path) -> None:
    os.nice(19)
    with suppress(AttributeError, psutil.Error, OSError):  # where the system has no such thing
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
    bear_silence(SILENCE_S)
    disable_progress_bars()
    job = Job(folder)
    if begun := job.newest_event("backup"):
        mirror = Mirror(job, begun)
        sys.excepthook = mirror.broke
        take_turn(mirror)


def take_turn(mirror: Mirror) -> None:
    """A worker before this one may have left a backup that is ending; never two at once."""
    while not mirror.replaced:
        with suppress(Timeout), FileLock(mirror.job.files.backup_lock).acquire(timeout=1):
            follow(mirror)
            shutil.rmtree(mirror.job.files.backup_aside, ignore_errors=True)
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
