"""A row as Markdown: trained tokens on a shade, context in gray, the template's own tokens small. All of it is text."""

import re
from collections.abc import Iterator

from core.data.preview import Token
from studio.markdown import plain

NEWLINE = "↵"
NBSP, JOINER = "\u00a0", "\u2060"
# Streamlit draws these as symbols and links even where each character is escaped; an invisible joiner keeps them apart.
SYMBOLS = re.compile(r"(?<=[-<>=~])(?=[-<>=])|(?<=:)(?=material/)|(?<=www)(?=\.)|(?<=http)(?=s?:)|(?<=\w)(?=@)")


def token_markdown(tokens: list[Token], shades: tuple[str, str], edges: bool = True) -> str:
    """The whole row; `edges` alternates two shades, so that each token is seen without gaps between words."""
    lines: list[list[str]] = [[]]
    for number, token in enumerate(tokens):
        shade = shades[number % 2 if edges else 0] if token.trained else None
        first, *rest = _pieces(token)
        lines[-1].append(_painted(first, token, shade))
        lines += [[_painted(piece, token, shade)] for piece in rest]
    while lines and not any(lines[-1]):
        lines.pop()
    # A backslash at a line's end breaks the line; a blank line would end the paragraph and its spacing.
    return "\\\n".join("".join(line) or NBSP for line in lines)


def _pieces(token: Token) -> Iterator[str]:
    """The token's text line by line; a trained line end is made visible, because the model learns it too."""
    *ended, last = token.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    yield from (piece + NEWLINE if token.trained else piece for piece in ended)
    yield last


def _painted(piece: str, token: Token, shade: str | None) -> str:
    if not piece:
        return ""
    text = escaped(piece)
    if token.special:
        text = f":small[:gray[{text}]]"
    elif shade is None:
        text = f":gray[{text}]"
    return f':color[{text}]{{background="{shade}"}}' if shade else text


def escaped(piece: str) -> str:
    """Text that stays text: no Markdown, directive, symbol, link or HTML; runs of spaces keep their width."""
    piece = SYMBOLS.sub(JOINER, piece.replace("\t", "    "))
    piece = re.sub(r" {2,}", lambda run: NBSP * (len(run[0]) - 1) + " ", piece)
    return plain(piece)
