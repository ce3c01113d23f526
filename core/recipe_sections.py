"""What all sections of the recipe are made of, and the smaller sections: defaults, limits and help stand on their fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]+$")
]
# Names of modules and parts of them; PEFT reads a name as a pattern, so nothing that means more than itself but the dot.
ModuleName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_.]+$")]


def _on_off(given: Any) -> Any:
    """YAML reads the words on and off as true and false; recipes from before packing had a third word say them too."""
    return {True: "on", False: "off"}[given] if isinstance(given, bool) else given


def _owner_and_name(given: str) -> str:
    try:
        validate_repo_id(given)
    except HFValidationError:
        given = ""
    if given.count("/") != 1:
        raise ValueError(
            "it has the form owner/name, with letters, digits, dots and dashes, and up to 96 characters in all"
        )
    return given


# A repository on the Hub that is somebody's.
HubId = Annotated[Line, AfterValidator(_owner_and_name)]
AutoOnOff = Annotated[Literal["auto", "on", "off"], BeforeValidator(_on_off)]


class Section(BaseModel):
    """A part of the recipe: unknown keys are refused, values never change in place."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSection(Section):
    """Which model is taught."""

    source: Line = Field("starter", title="Model", description="A Hub id, a folder on this machine, or `starter`.")
    revision: Line | None = Field(
        None,
        title="Revision",
        description="A branch, tag or commit on the Hub. Empty: the newest, pinned at the start.",
    )
    trust_remote_code: bool = Field(
        False,
        title="Run the model's own code",
        description="Whether Python files of the model's repository may run on this machine, with all your rights. Switch it "
        "on only for a model that cannot be loaded without, after reading those files; the revision must then be a full "
        "commit, so that nobody can exchange them.",
    )
    chat_template: str | None = Field(
        None,
        title="Chat template",
        description="How turns are written. A base model has none of its own: choose `plain` or `alpaca`, which need no "
        "new tokens, or give Jinja text. Empty: the model's own.",
    )
    start_from: Line | None = Field(
        None,
        title="Start from",
        description="An adapter to go on from instead of a fresh one: a run's id, `id@step` for one of its checkpoints, or "
        "a folder. Optimiser and schedule begin anew.",
    )
    drop_layers: int = Field(
        0,
        ge=0,
        le=200,
        title="Leave out layers",
        description="So many of the model's layers, a block of those that change least, are left out before it learns; the "
        "training has to win back what they were worth. It gets smaller and faster, in training and after, and knows less. Raise it, to a "
        "quarter of the layers at first, for one clear task, a small machine or quick answers; lower it where the answers "
        "do not come back. 0 keeps all.",
    )


class CheckpointSection(Section):
    """What is kept while it learns. One is always saved at a stop and at the end."""

    every_steps: int | None = Field(
        100,
        ge=1,
        title="Checkpoint every",
        description="Steps between two checkpoints. Lower it to lose less at a crash, raise it to save time. "
        "Empty: minutes decide.",
    )
    every_minutes: float | None = Field(
        10,
        gt=0,
        le=10_000,
        title="Or every (minutes)",
        description="Minutes between two checkpoints, beside the steps. Lower it where a session may end at any moment, "
        "raise it to save time. Empty: steps decide.",
    )
    keep: int = Field(
        3,
        ge=1,
        le=1000,
        title="Keep",
        description="The newest checkpoints kept on disk, and the best by held-out loss; older ones are deleted. "
        "Raise it to go back further, lower it to save disk.",
    )
    hub_backup: HubId | None = Field(
        None,
        title="Back up to",
        description="A private repository on the Hub, `user/name`, to which every checkpoint goes while it learns, with the recipe, "
        "the curve and your data files up to 100 MB. Give one where the machine may vanish, each run its own; leave it empty to "
        "keep everything here.",
    )


class LauncherSection(Section):
    """In how many processes it runs."""

    processes: int = Field(
        1,
        ge=1,
        le=64,
        title="Processes",
        description="More than one trains with torchrun. Raise it to the number of your GPUs, and lower the accumulation with "
        "it: batch x accumulation x processes make one step.",
    )
