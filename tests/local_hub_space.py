"""What the local Hub knows of a Space beside its files: hardware, variables, the names of its secrets. It runs none."""

import json
from typing import Any

from tests.local_hub_repository import SPACE, Repository, Snapshot

BASIC = "cpu-basic"
PAID = ("zero-a10g", "cpu-upgrade", "t4-small", "t4-medium", "l4x1", "a10g-small", "a100-large")


def settings(repository: Repository) -> dict[str, Any]:
    file = repository.folder / SPACE
    return json.loads(file.read_text()) if file.exists() else {}


def set_up(repository: Repository, **changed: Any) -> None:
    (repository.folder / SPACE).write_text(json.dumps(settings(repository) | changed))


def runtime(repository: Repository, snapshot: Snapshot) -> dict[str, Any]:
    """What `space_info` says of its machine: as soon as there is a program, it counts as running."""
    hardware = settings(repository).get("hardware", BASIC)
    stage = "RUNNING" if "app.py" in snapshot.files else "NO_APP_FILE"
    return {"stage": stage, "hardware": {"current": hardware, "requested": hardware}, "gcTimeout": 172800}
