"""What a model card is about: the files that lie beside it. No torch."""

from dataclasses import dataclass

PICTURE = "loss.png"
RECIPE = "recipe.yaml"
# Where an adapter lies in a repository that holds the merged model as well.
BESIDE = "adapter"
# What a card in a folder calls it.
HERE = "path/to/this/folder"


@dataclass(frozen=True)
class Contents:
    """What a folder or a repository holds: an adapter, a whole model, or both, or a GGUF file; and what it is loaded by.

    `precision` is the whole model's number format; `gguf` is the file's name; `ends` are the tokens that end an answer where
    the base's own settings do not say so.
    """

    place: str = HERE
    adapter: bool = True
    precision: str | None = None
    gguf: str | None = None
    ends: tuple[int, ...] = ()
    picture: bool = False

    @property
    def whole(self) -> bool:
        return self.precision is not None
