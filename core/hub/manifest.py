"""What a backup says of itself: `backup.json`, with the size and hash of every other file.

It goes up in the very commit whose files it lists, so a backup is whole or not there. Anyone may write a repository: nothing
in it is believed that would lead out of a job folder, and no file is taken that a library might run.
"""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from core import home
from core.errors import HomeError, HubError
from core.recipe_sections import Line, Section

NAME = "backup.json"
LONGEST_BYTES = 10_000_000
RUN, DATA = "run", "data"
TEXTS = ("recipe.yaml", "resolved.yaml", "events.jsonl", "metrics.jsonl", "about.json", "result.json")
FOLDERS = re.compile(r"(checkpoints/step-\d{6,9}|adapter|model)(/additional_chat_templates)?")
HARMLESS = (".json", ".safetensors", ".txt", ".model", ".jinja", ".md", ".tiktoken")
# The trainer's own pickles: of these it reads weights only, and the last one not at all.
PICKLES = re.compile(r"(optimizer|scheduler|scaler)\.pt|rng_state(_\d+)?\.pth|training_args\.bin")
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
JobId = Annotated[str, StringConstraints(pattern=r"^\d{8}-\d{6}(-[a-z0-9_-]{1,80})?$")]


class FileFacts(Section):
    """What a file is known by."""

    size_bytes: int = Field(ge=0)
    sha256: Sha256


class CarriedData(Section):
    """A data set of the run that lay on its machine: what the recipe calls it, and its files in the repository."""

    source: Line
    folder: bool
    files: list[str] = Field(min_length=1)


class Manifest(Section):
    """A whole backup. `writer` is the life of the worker that wrote it."""

    format: Literal[1] = 1
    job: JobId
    name: Line
    writer: Line
    total_steps: int | None = None
    status: Line = "running"
    files: dict[str, FileFacts] = Field(default_factory=dict)
    data: list[CarriedData] = Field(default_factory=list)

    @model_validator(mode="after")
    def _only_what_a_run_has(self) -> "Manifest":
        astray = next((path for path in self.files if not may_stand(path)), None)
        if astray is not None:
            raise ValueError(f"it lists {astray!r}, which no run has")
        if any(path not in self.files or not path.startswith(f"{DATA}/") for one in self.data for path in one.files):
            raise ValueError("it names data that it does not list")
        return self

    def with_data(self, before: "Manifest | None") -> "Manifest":
        """The same with the data that was there before: it went up once, whatever has become of the files since."""
        return self.model_copy(update={"data": before.data}) if before and before.data else self

    @property
    def steps(self) -> list[int]:
        """The steps of its checkpoints, in order."""
        folders = {PurePosixPath(path).parts[2] for path in self.files if path.startswith(f"{RUN}/checkpoints/")}
        return sorted(int(folder.removeprefix("step-")) for folder in folders)

    @property
    def step(self) -> int | None:
        """The newest step that is safe."""
        return max(self.steps, default=None)

    @property
    def has_result(self) -> bool:
        """Whether the final adapter or model is in it."""
        return any(path.startswith((f"{RUN}/adapter/", f"{RUN}/model/")) for path in self.files)

    @property
    def size_bytes(self) -> int:
        return sum(facts.size_bytes for facts in self.files.values())


def read(text: bytes, repository: str) -> Manifest:
    """The manifest of a repository; raises HubError where it is none that the studio wrote."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))[:80]
        what = first["msg"].removeprefix("Value error, ")[:200]
        raise HubError(
            f"{repository} cannot be trusted as a backup: in its {NAME} {where + ': ' if where else ''}{what}. Nothing was "
            "restored."
        ) from None


def may_stand(path: str) -> bool:
    """Whether a file of this name belongs to the backup of a run."""
    top, _, rest = path.partition("/")
    if not all(_plain(part) for part in path.split("/")):
        return False
    if top == DATA:
        return rest.count("/") == 1
    folder, _, name = rest.rpartition("/")
    if top != RUN or not folder:
        return top == RUN and rest in TEXTS
    return bool(FOLDERS.fullmatch(folder)) and (name.endswith(HARMLESS) or bool(PICKLES.fullmatch(name)))


def _plain(part: str) -> bool:
    try:
        home.inside(home.home(), part)
    except HomeError:
        return False
    return not part.startswith(".")
