"""Batches worked on in several processes, their results in order. Forked, so that what they need is there and never copied."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from core.errors import DataError

MOST = 8
LOOKS_EVERY_S = 0.2
OBJECTS_BETWEEN_LOOKS = 200_000
_work: Callable[[Any], Any] | None = None
# Free only while a batch is worked on: whoever ended while it hands over a result would let its parent wait for the rest.
_handing_over = threading.Lock()


def how_many() -> int:
    """Processes worth having; one where the system cannot fork safely."""
    return min(MOST, len(os.sched_getaffinity(0))) if sys.platform == "linux" else 1


def worked(work: Callable[[Any], Any], items: Iterable[Any], processes: int) -> Iterator[tuple[Any, Any]]:
    """Each item with its result, in order; a few are under way at once, never all. Results are pickled."""
    if processes < 2:
        yield from ((item, work(item)) for item in items)
        return
    forked = multiprocessing.get_context("fork")
    wanted = forked.RawValue("b", True)
    pool = ProcessPoolExecutor(processes, forked, _begin, (work, os.getpid(), wanted))
    waiting: deque = deque()
    whole = False
    try:
        for item in items:
            waiting.append((item, pool.submit(_do, item)))
            if len(waiting) > processes + 1:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
        whole = True
    finally:
        # After a stop nobody waits for what is under way.
        wanted.value = whole
        pool.shutdown(cancel_futures=True)


def _next(waiting: deque) -> tuple[Any, Any]:
    item, result = waiting.popleft()
    try:
        return item, result.result()
    except BrokenProcessPool:
        raise DataError(
            "A process that makes tokens was ended by the system, most likely for lack of memory. Close other programs, then "
            "prepare again."
        ) from None


def _do(item: Any) -> Any:
    _handing_over.release()
    try:
        return _work(item)
    finally:
        _handing_over.acquire()


def _begin(work: Callable[[Any], Any], parent: int, wanted: Any) -> None:
    """In the new process: a stop is its parent's to obey, and so is the counting of cores."""
    global _work
    _work = work
    _handing_over.acquire()
    # A batch is many small objects and no circle: to look through them every 700th time takes a tenth of the work.
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with, args=(parent, wanted), daemon=True).start()


def _end_with(parent: int, wanted: Any) -> None:
    """A parent that was killed can tell nobody; its locks must not live on in its children. One that was stopped says so."""
    while os.getppid() == parent and wanted.value:
        time.sleep(LOOKS_EVERY_S)
    while os.getppid() == parent and not _handing_over.acquire(timeout=LOOKS_EVERY_S):
        pass
    os._exit(1)
