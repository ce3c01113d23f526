"""What an export has made, and where it lies. No torch."""

from dataclasses import dataclass
from pathlib import Path

from core.jobs.folder import Job


@dataclass(frozen=True)
class Made:
    """The adapter as an archive, the merged model as a folder; None for what was not asked."""

    archive: Path | None
    model: Path | None

    def sentences(self) -> list[str]:
        adapter = [f"The adapter is packed in {self.archive}."] if self.archive else []
        return adapter + ([f"The merged model lies in {self.model}."] if self.model else [])


def made_by(job: Job) -> Made:
    """What is there of an export."""
    model = job.files.made / "merged"
    return Made(next(iter(job.files.made.glob("*.zip")), None), model if model.is_dir() else None)
