"""A data set that the studio knows by name: how its rows become conversations, and what is in it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from core.recipe_data import Layout


class Task(BaseModel):
    """One configuration of a data set whose configurations ask different things of different columns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    template: str = Field(description="what is asked, with the columns in braces; it ends in what to answer")
    rows: PositiveInt | None = Field(None, description="rows of the data set's split, where they are known")
    licence: str | None = Field(None, description="where it is not the data set's")


class Dataset(BaseModel):
    """A data set, and how its columns become a conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(description="Hub id, or `starter` for the one that needs no Hub")
    name: str
    description: str = Field(description="one sentence: what it teaches")
    layout: Layout
    columns: dict[str, str] = Field({}, description="the layout's name -> the data set's column")
    template: str | None = Field(None, description="the prompt, for the layout `template`")
    answer_template: str | None = Field(None, description="the answer, where it is put together from several columns")
    tasks: dict[str, Task] = Field({}, description="configuration -> what it asks; the one in `config` comes first")
    config: str | None = None
    split: str = "train"
    file: str | None = Field(
        None, description="where its rows lie in the repository, if the Hub itself cannot read them"
    )
    rows: PositiveInt = Field(description="rows of that config and split")
    tokens_per_row: PositiveInt | None = Field(
        None, description="mean of a conversation, as the starter counts them; where it was counted"
    )
    size_bytes: PositiveInt = Field(description="download of that config")
    licence: str = Field(description="as the Hub names it")
    language: str | None = Field(None, description="ISO 639-1, where it is in one language")

    def as_source(self, task: str | None = None) -> dict[str, Any]:
        """A recipe's source: this data set, or one of its tasks (a key of `tasks`; KeyError for any other)."""
        fields = ("source", "config", "split", "file", "layout", "columns", "template", "answer_template")
        found = {field: getattr(self, field) for field in fields}
        chosen = task or (self.config if self.tasks else None)
        return found | ({"config": chosen, "template": self.tasks[chosen].template} if chosen else {})

    def rows_of(self, config: str | None, split: str) -> int | None:
        """The rows of a configuration and split, None where they are not known."""
        if split != self.split:
            return None
        if config in self.tasks:
            return self.tasks[config].rows
        return self.rows if config == self.config else None
