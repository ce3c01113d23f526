"""What a mix will be before it is prepared: rows, tokens and epochs of each data set, from what is known without reading it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from core import catalog
from core.data import mixing
from core.data.peek import peek
from core.data.preview import changed_last, has_read, prepared_by
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.jobs.preflight import located
from core.recipe import Recipe
from core.recipe_data import USED_AS, Source

# Preparations of long ago are not searched: a page asks on every run.
SEARCHED = 40


@dataclass(frozen=True)
class Known:
    """Rows of a data set that can be used, and their mean tokens: counted before, told or guessed; None where nobody knows.

    The tokens of a pair are those of both its conversations.
    """

    rows: int | None
    tokens_per_row: float | None = None


@dataclass(frozen=True)
class Share:
    """A data set's part of one epoch of the mix; `available` rows, of which `rows` are taken, some of them repeatedly."""

    available: int | None
    rows: int | None
    tokens: int | None

    @property
    def epochs(self) -> float | None:
        return self.rows / self.available if self.rows is not None and self.available else None


def expected_mix(recipe: Recipe) -> list[Share]:
    """The share of each data set; those held out as a whole have no rows in the mix. Raises DataError for bad weights."""
    known, longest = known_rows(recipe), recipe.data.max_length * recipe.conversations_per_row
    available = _left(recipe, [found.rows for found in known])
    return [
        Share(left, rows, _tokens(rows, found.tokens_per_row, longest))
        for found, left, rows in zip(known, available, _mixed_rows(recipe, available), strict=True)
    ]


def _tokens(rows: int | None, each: float | None, longest: int) -> int | None:
    """What is longer than the recipe allows is cut, or left out."""
    return round(rows * min(each, longest)) if rows is not None and each else None


def _left(recipe: Recipe, rows: list[int | None]) -> list[int | None]:
    """What is left of each to train on: none of what is held out as a whole, else all but the share that is held out."""
    uses = [source.use for source in recipe.data.sources]
    if "held_out" in uses:
        return [0 if use == "held_out" else number for use, number in zip(uses, rows, strict=True)]
    known = mixing.held_out_of_each([number or 0 for number in rows], recipe.data.eval_fraction)
    return [None if number is None else number - aside for number, aside in zip(rows, known, strict=True)]


def _mixed_rows(recipe: Recipe, available: list[int | None]) -> list[int | None]:
    """Rows of each in the mix; where weights count, one data set of unknown size makes them all unknown."""
    train = [number for number, source in enumerate(recipe.data.sources) if source.use == "train"]
    weights = [recipe.data.sources[number].weight for number in train]
    if len(train) < 2 or not any(weights):
        return available
    if any(available[number] is None for number in train):
        return [None if number in train else 0 for number in range(len(available))]
    rows = mixing.rows_of_each([available[number] for number in train], weights, recipe.data.mixing)
    mixed = dict(zip(train, rows, strict=True))
    return [mixed.get(number, 0) for number in range(len(available))]


def known_rows(recipe: Recipe) -> list[Known]:
    """What is known of each data set: as it was last prepared for this model, where it is the same, else as the catalog says."""
    wanted = located(recipe)
    changed = {_reading(wanted, source): changed_last(source) for source in wanted.data.sources}
    counted: dict[str, Known] = {}
    for job, source, report in _prepared_before():
        asked = _reading(job.recipe, source)
        if asked in changed and asked not in counted and has_read(job, changed[asked]):
            counted[asked] = _counted(report)
    return [
        counted.get(_reading(wanted, source)) or _told(source, recipe.objective.pairs) for source in wanted.data.sources
    ]


def _prepared_before() -> Iterator[tuple[Job, Source, dict[str, Any]]]:
    """Job, source and the source's counts of the newest preparations."""
    jobs = (job for job in all_jobs()[:SEARCHED] if not job.damage)
    for job in jobs:
        if prepared := prepared_by(job):
            for source, counts in zip(job.recipe.data.sources, prepared.report["sources"], strict=True):
                yield job, source, counts


def _reading(recipe: Recipe, source: Source) -> str:
    """Everything that decides how many rows and tokens a data set has."""
    data = recipe.data
    read = source.model_dump_json(exclude=USED_AS)
    labels = f"{data.max_length} {data.train_on} {recipe.objective.pairs}"
    return f"{read} {labels} {recipe.model.source} {recipe.model.chat_template}"


def _counted(counts: dict[str, Any]) -> Known:
    rows, tokens = counts["usable_rows"], counts["usable_tokens"]
    return Known(rows + counts["held_out_rows"], tokens / rows if rows else None)


def _told(source: Source, pairs: bool) -> Known:
    """As the catalog says, else as a quick look at the file tells: rows of any file are seldom as long as they may be.

    The catalog knows the tokens of one conversation.
    """
    known = catalog.dataset(source.source)
    if rows := known.rows_of(source.config, source.split) if known else None:
        each = known.tokens_per_row and known.tokens_per_row * (2 if pairs else 1)
        return Known(min(rows, source.limit or rows), each)
    found = peek(source)
    return Known(found.total, found.tokens_per_pair if pairs else found.tokens_per_row) if found else Known(None)
