"""Write a job from inside its own process: phases, progress, numbers, and the result that ends it."""

import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

import yaml

from core.files import append_line, end_last_line, write_whole
from core.jobs.folder import Job

PROGRESS_EVERY_S = 1.0
# Room for the last words of a job on a full disk: freed before they are written.
BALLAST_BYTES = 64_000


class StopRequested(BaseException):
    """Raised where a stop can be obeyed at once; not an Exception, so that no library takes it for one of its own."""


class Worker:
    """The writing side of a job folder; nobody but the job's own process has one."""

    def __init__(self, job: Job):
        self.job = job
        self.files = job.files
        self.stop_requested = False
        self._stop_at_once = True
        self._last_progress = ("", 0.0)

    def begin(self) -> None:
        """Make a folder that another worker may have left in the middle of a line ready to be written."""
        end_last_line(self.files.events)
        end_last_line(self.files.metrics)
        self.files.ballast.write_bytes(b"\0" * BALLAST_BYTES)

    def listen(self) -> None:
        """From now on SIGTERM and Ctrl-C are requests to stop."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.stop_requested:
            return
        self.stop_requested = True
        self.phase("stopping")
        if self._stop_at_once:
            raise StopRequested

    @contextmanager
    def finishing_the_step(self) -> Iterator[None]:
        """Inside, a stop only sets `stop_requested`: the training ends its step and writes a checkpoint."""
        self._stop_at_once = False
        try:
            yield
        finally:
            self._stop_at_once = True

    def phase(self, name: str) -> None:
        """Enter a phase: queued, preparing, running or stopping."""
        self.event("phase", phase=name)

    def event(self, event: str, **more: Any) -> None:
        append_line(self.files.events, {"time": time.time(), "event": event} | more)

    def warning(self, text: str) -> None:
        self.event("warning", text=text)

    def progress(self, what: str, done: int, total: int) -> None:
        """How far a slow part is; at most one event a second, and always its first and its last."""
        last_what, last_time = self._last_progress
        if what == last_what and done < total and time.monotonic() - last_time < PROGRESS_EVERY_S:
            return
        self._last_progress = (what, time.monotonic())
        self.event("progress", what=what, done=done, total=total)

    def metric(self, **numbers: float | int | None) -> None:
        """One line of numbers; those that are not finite become null and are flagged."""
        bad = [name for name, value in numbers.items() if value is not None and not math.isfinite(value)]
        row = {name: None if name in bad else value for name, value in numbers.items()}
        append_line(self.files.metrics, row | ({"not_finite": bad} if bad else {}))

    def void_after(self, step: int) -> None:
        """Readers drop all numbers of later steps: they are trained again."""
        append_line(self.files.metrics, {"resumed_from": step})

    def resolve(self, **facts: Any) -> None:
        """Add to `resolved.yaml`: what the recipe became on this machine."""
        text = yaml.safe_dump(self.job.resolved | facts, sort_keys=False, allow_unicode=True)
        write_whole(self.files.resolved, text)

    def finish(self, status: str, why: str, **more: Any) -> None:
        """Write the result. It comes last: its presence means the job is over."""
        self.files.ballast.unlink(missing_ok=True)
        self.event("ended", status=status, why=why)
        result = {"status": status, "why": why, "time": time.time()} | more
        write_whole(self.files.result, json.dumps(result, indent=1, ensure_ascii=False))

    def fail_loudly(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """What a bug does: the result says so in a sentence, the log keeps the traceback."""
        self.finish("failed", f"The studio has a bug here: {kind.__name__}: {error}. The log has the details.")
        sys.__excepthook__(kind, error, trace)
