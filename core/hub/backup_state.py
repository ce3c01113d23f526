"""How the backup of a run stands, from its events: which step is confirmed, what goes up, what is wrong. No network."""

from dataclasses import dataclass
from typing import Any

from core.jobs.folder import BEGINNINGS, Job
from core.jobs.tail import latest_of

SIGNS = ("backing_up", "backed_up", "backup_failed")


@dataclass(frozen=True)
class BackupState:
    """`safe_step` is the newest step that the Hub has confirmed; `trouble` is a sentence while it fails."""

    repository: str
    safe_step: int | None
    has_result: bool
    waiting: bool
    uploading: dict[str, Any]
    trouble: str | None
    refused: bool
    failing_since: float

    @property
    def share(self) -> float:
        """0 to 1: how much of what goes up now is there."""
        done, total = self.uploading.get("done", 0), self.uploading.get("total", 0)
        return min(1.0, done / total) if total else 0.0


def backup_of(job: Job) -> BackupState | None:
    """None where the recipe asks for none, or the folder is damaged."""
    repository = None if job.damage else job.recipe.checkpoints.hub_backup
    if not repository:
        return None
    safe = latest_of(job.files.events, "backed_up") or {}
    # What failed for an earlier worker need not fail for this one.
    newest = latest_of(job.files.events, *SIGNS, *BEGINNINGS) or {}
    failed = newest if newest.get("event") == "backup_failed" else {}
    step, text = safe.get("step"), failed.get("text")
    return BackupState(
        repository=repository,
        safe_step=step if isinstance(step, int) else None,
        has_result=bool(safe.get("has_result")),
        waiting=job.status.live and job.newest_event("waiting_for_backup") is not None,
        uploading=newest if newest.get("event") == "backing_up" and _counted(newest) else {},
        trouble=text if isinstance(text, str) else None,
        refused=bool(failed.get("refused")),
        failing_since=float(failed.get("since") or 0.0),
    )


def _counted(event: dict[str, Any]) -> bool:
    return all(isinstance(event.get(name), int) for name in ("step", "done", "total"))
