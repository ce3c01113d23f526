"""What an export has made, and where it lies. No torch."""

from dataclasses import dataclass
from pathlib import Path

from core.jobs.folder import Job


@dataclass(frozen=True)
class Made:
    """The adapter as an archive, the merged model as a folder, the GGUF file; None for what was not asked."""

    archive: Path | None
    model: Path | None
    gguf: Path | None

    def __bool__(self) -> bool:
        return any((self.archive, self.model, self.gguf))

    @property
    def paths(self) -> list[Path]:
        return [path for path in (self.archive, self.model, self.gguf) if path]

    def sentences(self) -> list[str]:
        adapter = [f"The adapter is packed in {self.archive}."] if self.archive else []
        model = [f"The merged model lies in {self.model}."] if self.model else []
        return adapter + model + ([f"The GGUF file is {self.gguf}."] if self.gguf else [])


def made_by(job: Job) -> Made:
    """What is there of an export."""
    model = job.files.made / "merged"
    archive, gguf = (next(iter(job.files.made.glob(pattern)), None) for pattern in ("*.zip", "gguf/*.gguf"))
    return Made(archive, model if model.is_dir() else None, gguf)
