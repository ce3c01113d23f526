"""The worker process: `python -m core.jobs FOLDER` does the job of that folder and writes how it ended."""

import errno
import sys
from importlib import import_module
from pathlib import Path

from core.errors import StudioError
from core.jobs.folder import Job
from core.jobs.kinds import KINDS
from core.jobs.worker import StopRequested, Worker


def main(folder: Path) -> int:
    """Exit status: 0 finished, 1 failed, 3 stopped. A bug leaves its traceback in the log."""
    worker = Worker(Job(folder))
    sys.excepthook = worker.fail_loudly
    worker.listen()
    try:
        worker.phase("preparing")
        import_module(KINDS[worker.job.kind]).run(worker)
    except StopRequested:
        worker.finish("stopped", "Stopped before the first step. Nothing was trained.")
    except StudioError as error:
        worker.finish("failed", str(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        worker.finish("failed", f"The disk is full: {error.filename or folder}. Make space, then start again.")
    return {"finished": 0, "stopped": 3}.get((worker.job.result or {}).get("status", ""), 1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
