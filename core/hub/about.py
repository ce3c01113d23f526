"""What goes with exported or published weights: the card, the picture of the loss, and the recipe."""

from core.export.make import Maker
from core.hub import card
from core.hub.card_contents import PICTURE, RECIPE, Contents
from core.hub.loss_picture import loss_png
from core.hub.portable_recipe import portable


def about_files(maker: Maker, place: str, parts: tuple[str, ...]) -> dict[str, bytes]:
    """File name -> contents, for what holds these parts; `place` is what a program loads them by.

    Made anew each time, for an evaluation may have come since.
    """
    picture, whole = loss_png(maker.run), parts != ("adapter",)
    contents = Contents(
        place,
        adapter="adapter" in parts,
        precision=maker.precision_written if whole else None,
        gguf=maker.gguf,
        ends=() if whole else maker.ends,
        picture=picture is not None,
    )
    found = {"README.md": card.text(maker.facts, contents).encode(), RECIPE: portable(maker.run).encode()}
    return found | ({PICTURE: picture} if picture else {})
