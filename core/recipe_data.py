"""The data section of the recipe: sources, mixing, cleaning; defaults, limits and help stand on these fields."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.data.formats.table import FORMATS
from core.recipe_sections import AutoOnOff, Line, Section

Layout = Literal["auto", *FORMATS]
# Fields of a source that say nothing of how its rows are read.
USED_AS = {"use", "weight"}


class Source(Section):
    """One data set that is learned from."""

    source: Line = Field(
        "starter",
        title="Data",
        description="A Hub id, a file or folder on this machine (JSONL, JSON, CSV, TSV, Parquet, text), or `starter`.",
    )
    config: Line | None = Field(
        None, title="Configuration", description="The Hub data set's configuration, if it has several."
    )
    split: Line = Field(
        "train", title="Split", description="Which split of a Hub data set, or of the starter, is read."
    )
    revision: Line | None = Field(
        None, title="Revision", description="A commit on the Hub. Empty: the newest, pinned at the start."
    )
    file: Line | None = Field(
        None,
        title="File",
        description="A file in the Hub repository that is read as it lies, such as `data/{config}/{split}.tsv`, where the "
        "repository needs a program of its own to be read. Empty: what the Hub says its data is.",
    )
    use: Literal["train", "held_out"] = Field(
        "train",
        title="Used for",
        description="`held_out` is never trained on: the loss is measured on it instead of on a share of the other data.",
    )
    weight: float | None = Field(
        None,
        gt=0,
        le=1,
        title="Weight",
        description="Share of the rows trained on. Shares need not add up to 1 where every data set has one. Empty: as it "
        "comes, each row once.",
    )
    layout: Layout = Field(
        "auto",
        title="Layout",
        description="How a row holds a conversation. `auto` recognises it from the columns and first rows.",
    )
    columns: dict[Line, Line] = Field(
        default_factory=dict,
        title="Columns",
        description="Which of your columns is which: `{instruction: question, output: answer}`.",
    )
    template: str | None = Field(
        None,
        min_length=1,
        max_length=20_000,
        title="Template",
        description="The prompt, with your columns in braces, such as `{question}`; doubled braces are plain ones. For "
        "rows that no layout fits.",
    )
    answer_template: str | None = Field(
        None,
        min_length=1,
        max_length=20_000,
        title="Answer template",
        description="The answer, with your columns in braces, where it is put together from several. Empty: the answer's "
        "column.",
    )
    system: str | None = Field(
        None,
        min_length=1,
        max_length=20_000,
        title="System prompt",
        description="What every conversation begins with, such as a role. Give the same one when you chat.",
    )
    system_mode: Literal["add", "replace"] = Field(
        "add",
        title="System prompt goes",
        description="`add` gives it to conversations that have none, `replace` to all of them.",
    )
    limit: int | None = Field(None, ge=1, title="Row limit", description="Read at most this many rows. Empty: all.")
    bad_rows: float = Field(
        0.05,
        ge=0,
        le=1,
        title="Bad rows",
        description="Share of the rows that may be unusable; they are set aside and listed. With more, the data is refused. "
        "0 refuses the first one.",
    )


class CleaningSection(Section):
    """Which rows are left out. Each rule says in the report how many it took, and shows some."""

    exact_duplicates: bool = Field(
        True,
        title="Drop exact duplicates",
        description="A conversation that was there before, in this data set or another, is left out.",
    )
    near_duplicates: bool = Field(
        False,
        title="Drop near duplicates",
        description="Also one that is nearly the same: at least 80 % of its runs of three tokens are shared. Takes time.",
    )
    leaks: bool = Field(
        True,
        title="Drop leaks",
        description="Rows to train on that are nearly the same as a held-out row are left out, so that the held-out loss "
        "can be trusted.",
    )
    broken_turns: bool = Field(
        True,
        title="Drop broken turns",
        description="A conversation with two questions or two answers in a row, an answer first, a question last, or a system "
        "turn in the middle is left out.",
    )
    too_long: Literal["cut", "drop"] = Field(
        "cut",
        title="Too long",
        description="Conversations over Max tokens are cut there, or left out whole.",
    )
    shortest_answer: int = Field(
        1,
        ge=1,
        le=10_000,
        title="Shortest answer",
        description="Rows with fewer trained tokens than this are left out, the end of turn included; of pairs, where one of the "
        "two answers has fewer.",
    )


class DataSection(Section):
    """What it is taught."""

    sources: list[Source] = Field(
        default_factory=lambda: [Source()],
        min_length=1,
        title="Sources",
        description="The data sets, one after the other.",
    )
    mixing: Literal["same size", "never repeat", "never cut"] = Field(
        "same size",
        title="Size of the mix",
        description="Where every data set has a weight: `same size` takes as many rows as there are, repeating the small and "
        "cutting the large; `never repeat` cuts only; `never cut` repeats only.",
    )
    cleaning: CleaningSection = Field(
        default_factory=CleaningSection, title="Cleaning", description="What is left out."
    )
    eval_fraction: float = Field(
        0.05,
        ge=0,
        le=0.5,
        title="Held out",
        description="Share of each data set kept aside to measure the loss on rows the model never trains on. Raise it for "
        "small data, lower it for large; 0 measures nothing. Not used where a data set is held out as a whole.",
    )
    max_length: int = Field(
        1024,
        ge=16,
        le=131_072,
        title="Max tokens",
        description="Longer conversations are cut here. Raise it if answers are cut, lower it to save memory.",
    )
    train_on: Literal["assistant", "all"] = Field(
        "assistant",
        title="Train on",
        description="`assistant` learns the answers only, which is nearly always right; `all` learns every token.",
    )
    packing: AutoOnOff = Field(
        "auto",
        title="Packing",
        description="How conversations share a row, each seeing only itself. `auto` lays those of a batch side by side, with "
        "nothing computed for padding, where device and model can. `on` fills rows up to max tokens: fewer, fuller steps; "
        "lower the batch with it. `off` pads each to the longest of its batch: slower, and the plain way to compare with.",
    )

    @property
    def packs(self) -> bool:
        """Whether a row to train on holds several conversations."""
        return self.packing == "on"

    @property
    def system_prompt(self) -> str | None:
        """The one that all data to train on is given, if there is one."""
        found = {source.system for source in self.sources if source.use == "train"}
        return found.pop() if len(found) == 1 else None
