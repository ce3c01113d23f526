"""The prepared data as the app reads it: counts, and every row with its tokens. No torch, no tokenizer."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow.compute as pc

from core import home
from core.data.local_files import changed_at
from core.data.store import EncodedRows
from core.files import read_json
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.jobs.preflight import located
from core.jobs.tail import latest_of
from core.recipe import Recipe
from core.recipe_data import Source
from core.where import Place, local_path, place_of


@dataclass(frozen=True)
class Token:
    """One token as the model sees it."""

    text: str
    id: int
    trained: bool
    special: bool


@dataclass(frozen=True)
class Shown:
    """One conversation as tokens; `rest` is the text that was cut off, of `cut` tokens."""

    tokens: list[Token]
    cut: int
    rest: str

    @property
    def trained(self) -> int:
        return sum(token.trained for token in self.tokens)


@dataclass(frozen=True)
class ShownRow:
    """One row: `number` is its place in the data set as prepared, `row` its line or number in the source.

    `conversations` are one, or the chosen and the rejected one of a pair. `lost` are the trained tokens that were cut off;
    `fate` says what became of the row, in words; `seen` is how often an epoch sees it.
    """

    number: int
    row: int
    fate: str
    conversations: list[Shown]
    lost: int
    seen: int

    @property
    def tokens(self) -> list[Token]:
        return [token for conversation in self.conversations for token in conversation.tokens]

    @property
    def cut(self) -> int:
        return sum(conversation.cut for conversation in self.conversations)

    @property
    def trained(self) -> int:
        return sum(conversation.trained for conversation in self.conversations)

    @property
    def held_out(self) -> bool:
        return self.fate == "held out"


@dataclass(frozen=True)
class Prepared:
    """One prepared data set on disk."""

    files: home.PreparedFiles

    @cached_property
    def report(self) -> dict[str, Any]:
        """What `core.data.report` counted.

        Rows: `rows_read` = all of `dropped` (reason -> rows) + `left_out` by the mix + `held_out_rows` + `distinct_rows`;
        `rows` are those of an epoch, repeats counted, `tokens` and `supervised_tokens` theirs. `cut_rows`,
        `cut_supervised_tokens`: of the `usable_rows`. `problems`: the first rows set aside. `examples`: reason -> rows, each
        with `source`, `row`, `text` and the row it is `like`. `sources`: the same counts for each, with `layout`, `use`,
        `epochs`, `usable_rows`, `usable_tokens`, `usable_supervised_tokens`. `lengths` (`edges`, `counts`), `longest`,
        `median`, `p95`: before the cut. `packing`: `rows` and `filled` share. `kept_from_held_out`: rows trained on that
        would have been held out, had no other been nearly the same.
        """
        return read_json(self.files.report) or {}

    @property
    def whole(self) -> bool:
        """Whether its report is there, and the rows themselves as well."""
        keys = [source.get("key") for source in self.report.get("sources", ())]  # sets of earlier versions have none
        return bool(keys) and all(key and home.encoded_files(key).report.exists() for key in keys)

    def view(self, source: int) -> "SourceView":
        """The rows of one of the report's sources."""
        before = sum(len(EncodedRows(self._files(number))) for number in range(source))
        rows = EncodedRows(self._files(source))
        fates, train = (np.load(path, mmap_mode="r") for path in (self.files.fates, self.files.train))
        return SourceView(rows, fates[before : before + len(rows)], self.report, train, before)

    def _files(self, source: int) -> home.EncodedFiles:
        return home.encoded_files(self.report["sources"][source]["key"])


@dataclass(frozen=True)
class SourceView:
    """The rows of one data set as they were prepared, dropped ones too; numbers are from 0.

    `train` are the rows of an epoch, counted through all data sets, of which `first` stand before this one's.
    """

    rows: EncodedRows
    fates: np.ndarray
    report: dict[str, Any]
    train: np.ndarray
    first: int

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, number: int) -> ShownRow:
        """One row as tokens, made when it is looked at."""
        return ShownRow(
            number,
            self.row_of(number),
            self.report["fates"][self.fates[number]],
            list(self._conversations(number)),
            lost=int(self.rows.numbers("lost")[number]),
            seen=int(np.count_nonzero(self.train == self.first + number)),
        )

    def _conversations(self, number: int) -> Iterator[Shown]:
        """The one of a row, or both of a pair."""
        text, ends = self.rows.text(number)
        ids, labels = self.rows.tokens(number).tolist(), self.rows.tokens(number, "labels").tolist()
        pieces = [text[begin:end] for begin, end in pairwise([0, *ends])]
        first, kept = int(self.rows.numbers("first")[number]), 0
        for whole in filter(None, ([*pieces[:first]], [*pieces[first:]])):
            here = slice(kept, kept + min(len(whole), self.report["max_length"]))
            tokens = list(map(self._token, whole, ids[here], labels[here]))
            yield Shown(tokens, cut=len(whole) - len(tokens), rest="".join(whole[len(tokens) :]))
            kept = here.stop

    def _token(self, piece: str, id: int, label: int) -> Token:
        return Token(piece, id, label >= 0, id in self._special)

    @cached_property
    def _special(self) -> set[int]:
        return set(self.report["special_ids"])

    def row_of(self, number: int) -> int:
        """The line or number in the source of one row."""
        return int(self.rows.numbers("row")[number])

    def at(self, row: int) -> int:
        """The row with this line or number in the source; where that was set aside, the next one."""
        return min(int(np.searchsorted(self.rows.numbers("row"), row)), len(self) - 1)

    def fate_counts(self) -> dict[str, int]:
        """How many rows have each fate, in words; those that no row has are left out."""
        counts = np.bincount(self.fates, minlength=len(self.report["fates"])).tolist()
        return {fate: count for fate, count in zip(self.report["fates"], counts, strict=True) if count}

    def longest(self) -> int:
        """The row with most tokens before the cut; where that is cut, it is the one that loses most tokens too."""
        return int(self.rows.numbers("length").argmax())

    def shortest(self) -> int:
        return int(self.rows.numbers("length").argmin())

    def most_truncated(self) -> int | None:
        """The row that lost most trained tokens to the cut; None where none did."""
        lost = self.rows.numbers("lost")
        return int(lost.argmax()) if lost.max() else None

    def of_fate(self, fate: str) -> list[int]:
        """The rows of one fate, in words, in order."""
        return np.flatnonzero(self.fates == self.report["fates"].index(fate)).tolist()

    def search(self, words: str, most: int = 200) -> list[int]:
        """Rows whose text holds the words, upper and lower case alike, in order; at most so many."""
        found: list[int] = []
        for start, texts in self.rows.texts_of_batches():
            hits = pc.match_substring(texts, words, ignore_case=True)
            found += [start + place for place in np.flatnonzero(hits.to_numpy(zero_copy_only=False)).tolist()]
            if len(found) >= most:
                break
        return found[:most]


def prepared_by(job: Job) -> Prepared | None:
    """The set that a job prepared or trained on, if it is still there."""
    files = home.prepared_files(job.prepared_key) if job.prepared_key else None
    return found if files and (found := Prepared(files)).whole else None


def prepared_for(recipe: Recipe) -> Prepared | None:
    """The newest set that was prepared from this very model, data and seed, and from files that are still as they were."""
    changed = max(map(changed_last, recipe.data.sources))
    made = (prepared_by(job) for job in _with_same_data(recipe) if has_read(job, changed))
    return next((found for found in made if found), None)


def changed_last(source: Source) -> float:
    """When a data set on this machine was changed last (seconds since the epoch); 0 where it lies elsewhere, or is gone."""
    return changed_at(local_path(source.source)) if place_of(source.source) is Place.LOCAL else 0.0


def has_read(job: Job, changed: float) -> bool:
    """Whether a job was begun, or brought here, after this change of its data: a resume goes on with the rows it had."""
    brought = latest_of(job.files.events, "created", "restored")
    return changed <= (brought["time"] if brought else job.created)


def preparing(recipe: Recipe) -> Job | None:
    """The live job that is preparing this data now."""
    return next((job for job in _with_same_data(recipe, "prepare") if job.status.live), None)


def last_preparation(recipe: Recipe) -> Job | None:
    """The newest prepare job of this data, however it ended."""
    return next(_with_same_data(recipe, "prepare"), None)


def _with_same_data(recipe: Recipe, kind: str | None = None) -> Iterator[Job]:
    """Jobs on this model, data and seed, newest first; their recipes name local sources as `located` does."""
    wanted = _data_of(located(recipe))
    return (job for job in all_jobs(kind) if not job.damage and _data_of(job.recipe) == wanted)


def _data_of(recipe: Recipe) -> tuple:
    model = recipe.model.model_copy(update={"start_from": None, "drop_layers": 0})
    data = recipe.data.model_copy(update={"packing": "auto"})
    return model, data, recipe.training.seed, recipe.objective.pairs
