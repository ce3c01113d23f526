"""The recipe describes a run completely; its sections, with their fields, stand in `recipe_*.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field, ValidationError

from core.data.mixing import too_heavy
from core.errors import RecipeError
from core.recipe_data import DataSection
from core.recipe_lora import LoraSection
from core.recipe_problems import sentences
from core.recipe_sections import CheckpointSection, LauncherSection, ModelSection, Section
from core.recipe_training import TrainingSection
from core.training.methods import METHODS
from core.training.objectives import OBJECTIVES, Objective
from core.where import Place, is_commit, leaves_its_folder, place_of

LONGEST_NAME = 60
NAME_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9 ._-]{{0,{LONGEST_NAME - 1}}}$"


class Recipe(Section):
    """Everything about a run."""

    name: str = Field(
        "my-run",
        title="Run name",
        description="Letters from a to z, digits, spaces, dots, dashes; up to 60 characters.",
        pattern=NAME_PATTERN,
    )
    model: ModelSection = Field(default_factory=ModelSection)
    data: DataSection = Field(default_factory=DataSection)
    lora: LoraSection = Field(default_factory=LoraSection)
    training: TrainingSection = Field(default_factory=TrainingSection)
    checkpoints: CheckpointSection = Field(default_factory=CheckpointSection)
    launcher: LauncherSection = Field(default_factory=LauncherSection)

    @property
    def objective(self) -> Objective:
        return OBJECTIVES[self.training.objective]

    @property
    def conversations_per_row(self) -> int:
        return 2 if self.objective.pairs else 1

    def effective_batch(self) -> int:
        """Conversations, or pairs of them, per step, on all devices together."""
        return self.training.batch * self.training.accumulation * self.launcher.processes

    def reached(self, steps: int, rows: int) -> int:
        """How many of so many rows are learned from in so many steps; the last step of an epoch may have fewer."""
        return min(rows, steps * self.effective_batch())

    def without_backup(self) -> Recipe:
        """For another run, or another person: a repository holds the backup of one run."""
        kept = self.checkpoints.model_copy(update={"hub_backup": None})
        return self.model_copy(update={"checkpoints": kept})

    def measures_held_out(self) -> bool:
        """Whether rows are kept aside: a share of each data set, or whole data sets."""
        return bool(self.data.eval_fraction) or any(source.use == "held_out" for source in self.data.sources)

    def _unmixable(self) -> Iterator[str]:
        """What is wrong between the uses and weights of the data sets."""
        train = [source for source in self.data.sources if source.use == "train"]
        if not train:
            yield "data.sources: every data set is held out; leave one to train on."
        for number, source in enumerate(self.data.sources):
            if source.use == "held_out" and source.weight is not None:
                yield f"data.sources[{number}].weight: a held-out data set is not mixed; leave its weight empty."
        if problem := too_heavy([source.weight for source in train]):
            yield f"data.sources: {problem[0].lower()}{problem[1:]}"

    def _astray(self) -> Iterator[str]:
        """Data sets that begin in the studio's folders and lead out of them."""
        for number, source in enumerate(self.data.sources):
            if leaves_its_folder(source.source):
                yield (
                    f"data.sources[{number}].source: {source.source!r} leaves its folder; name a file in it, such as "
                    "feedback/chat.jsonl, or give the whole path."
                )

    def _untrusted(self) -> Iterator[str]:
        """Code that nobody could have read before: only a commit's files stay what they are."""
        model = self.model
        if not model.trust_remote_code:
            return
        if place_of(model.source) is not Place.HUB:
            yield "model.trust_remote_code: only a model of the Hub brings code of its own; leave it false."
        elif not is_commit(model.revision or ""):
            yield (
                f"model.trust_remote_code: the code of {model.source} may only run at a fixed commit; give the one whose "
                "files you have read as model.revision, all 40 digits of it."
            )

    def _unprunable(self) -> Iterator[str]:
        """Layers that cannot be left out whatever the model; how many it has is looked at where it is known."""
        if self.model.drop_layers and self.model.trust_remote_code:
            yield "model.drop_layers: a model with code of its own stays whole, for nobody here knows its layers; set it to 0."

    def _unbuildable(self) -> Iterator[str]:
        """What is wrong between the settings of the adapter."""
        lora, method = self.lora, METHODS[self.lora.method]
        if self.model.start_from and method.no_start_from:
            yield (
                f"lora.method: {lora.method} cannot go on from model.start_from, for {method.no_start_from}. Choose lora, or "
                "leave start_from empty."
            )
        if method.whole:
            yield from (f"lora.{key}: full fine-tuning trains every weight, so leave it out." for key in lora.partial())
        if lora.bias and method.no_bias:
            yield f"lora.bias: {lora.method} cannot have one, for {method.no_bias}. Turn it off, or choose lora."
        if lora.template_tokens and method.no_tokens:
            yield f"lora.template_tokens: {lora.method} cannot train them, for {method.no_tokens}. Turn it off, or choose lora."
        if lora.targets == []:
            yield "lora.targets: the list is empty; name modules such as q_proj, or write all-linear."
        if lora.last_layer is not None and (lora.first_layer or 0) > lora.last_layer:
            yield f"lora.first_layer: {lora.first_layer} comes after lora.last_layer, which is {lora.last_layer}."

    def _unpaired(self) -> Iterator[str]:
        """What cannot be done with pairs of answers."""
        name, training = self.training.objective, self.training
        if not self.objective.pairs:
            return
        if self.data.packs:
            yield f"data.packing: {name} compares the two answers of a row, which packing would tear apart. Choose auto or off."
        if self.data.train_on == "all":
            yield f"data.train_on: {name} compares answers, so only those count. Choose assistant, or training.objective sft."
        if training.label_smoothing:
            yield f"training.label_smoothing: {name} has no labels to smooth; leave it 0, or choose training.objective sft."
        if self.objective.reference and METHODS[self.lora.method].begins == "pissa":
            yield (
                f"lora.method: pissa begins with weights taken out of the base model, so {name} would have nothing to stay "
                "near. Choose lora, or training.objective orpo."
            )

    def contradictions(self) -> list[str]:
        """Settings that are fine alone and wrong together, a sentence each."""
        problems = [
            *self._astray(),
            *self._unmixable(),
            *self._untrusted(),
            *self._unprunable(),
            *self._unbuildable(),
            *self._unpaired(),
        ]
        if self.training.eval_every and not self.measures_held_out():
            problems.append(
                f"training.eval_every: {self.training.eval_every} asks for a loss on held-out rows, but "
                "data.eval_fraction is 0; hold some rows out, or leave eval_every empty."
            )
        for key in ("early_stopping", "load_best"):
            if getattr(self.training, key) and not self.measures_held_out():
                problems.append(
                    f"training.{key}: it goes by the loss on held-out rows, but data.eval_fraction is 0; hold some rows out, "
                    "or leave it off."
                )
        return problems


def parse(values: Any) -> Recipe:
    """A recipe from plain values; raises RecipeError with every problem and its key path."""
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise RecipeError([f"A recipe is a list of `key: value` lines, but this is {_kind(values)}."])
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(sentences(error.errors(), Recipe)) from None
    if problems := recipe.contradictions():
        raise RecipeError(problems)
    return recipe


def value_at(recipe: Recipe, path: str) -> Any:
    """The value of one field by its key path."""
    value: Any = recipe
    for part in path.split("."):
        value = value[int(part)] if part.isdigit() else getattr(value, part)
    return value


def diff(a: Recipe, b: Recipe) -> dict[str, tuple[Any, Any]]:
    """Key path -> (value in a, value in b) for every field in which two recipes differ."""
    left, right = _flat(a.model_dump(mode="json")), _flat(b.model_dump(mode="json"))
    keys = list(left) + [key for key in right if key not in left]
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        pairs = [(f"{path}.{key}" if path else str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list) and value:
        pairs = [(f"{path}[{i}]", inner) for i, inner in enumerate(value)]
    else:
        return {path: value}
    return {key: leaf for inner_path, inner in pairs for key, leaf in _flat(inner, inner_path).items()}


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else f"the single value {str(value)[:60]!r}"
