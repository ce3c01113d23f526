"""Errors written for the person who reads them: what happened, where, what to do. Anything else is a bug."""


class StudioError(Exception):
    """A sentence for the person; caught where it can be shown."""


class HomeError(StudioError):
    """A name or place under `$STUDIO_HOME` that cannot be used."""


class RecipeError(StudioError):
    """One or more problems of a recipe, all of them, a line each."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__("\n".join(problems))


class DataError(StudioError):
    """A source, a row or a chat template that cannot be used."""


class ModelError(StudioError):
    """A model that cannot be found, fetched or loaded."""


class HubError(StudioError):
    """The Hugging Face Hub refused, did not answer, or has not what was asked for."""


class JobError(StudioError):
    """A job that cannot be found, started or stopped."""


class EngineError(StudioError):
    """The chat engine, or a generation inside it, failed."""
