"""A row as HTML: trained tokens shaded and underlined, context in gray, the template's own tokens small. All of it is text."""

from collections.abc import Iterator
from html import escape

from core.data.preview import Shown, ShownRow, Token
from core.inference.client import Reading
from studio import words
from studio.charts import Palette, see_through

NEWLINE = "↵"
GAP = " \u2003"
PAIR = ("chosen", "rejected")
MOST_TOKENS = 3_000  # what a browser draws at once without a pause
MOST_LOST = 600  # characters
NUL = str.maketrans({"\x00": "\ufffd"})  # a browser would drop it


def token_html(shown: ShownRow, limit: int, colours: Palette, edges: bool = True, most: int | None = None) -> str:
    """The whole row, or its first `most` tokens; `edges` alternates two shades. The style stands inside: first, it is dropped."""
    label = f"The row as {words.count(len(shown.tokens), 'token')}, {shown.trained:,} of them trained on"
    left, drawn = len(shown.tokens) if most is None else most, []
    pair = len(shown.conversations) > 1
    for number, conversation in enumerate(shown.conversations):
        if left > 0:
            end = _cut(conversation, limit, None if pair else shown.lost)
            made = _conversation(conversation, edges, left, end)
            drawn.append(_named(PAIR[number], made) if pair else made)
        left -= len(conversation.tokens)
    return f'<div class="tokens" role="group" aria-label="{label}">{_style(colours)}{"".join(drawn)}</div>'


def _named(name: str, made: str) -> str:
    """One of a pair: under its name, along a line of its colour."""
    return f'<div class="one {name}"><div class="which">{name.capitalize()}</div>{made}</div>'


def _conversation(shown: Shown, edges: bool, most: int, end: str) -> str:
    """Its tokens, and where it is cut once all are drawn."""
    drawn = shown.tokens[:most]
    spans = "".join(_span(token, number % 2 if edges else 0) for number, token in enumerate(drawn))
    return f"<p>{spans}</p>{end if len(drawn) == len(shown.tokens) else ''}"


def prompt_html(reading: Reading, colours: Palette, most: int = MOST_TOKENS) -> str:
    """A prompt before it is answered: nothing in it is trained on, so the shades only show where tokens begin and end."""
    tokens = zip(reading.pieces[:most], reading.ids, reading.special, strict=False)
    spans = "".join(_prompt_span(number, *token) for number, token in enumerate(tokens))
    left = len(reading.ids) - most
    rest = f'<div class="cut">and {words.count(left, "token")} more</div>' if left > 0 else ""
    label = f"The prompt as {words.count(len(reading.ids), 'token')}"
    return f'<div class="tokens" role="group" aria-label="{label}">{_style(colours)}<p>{spans}</p>{rest}</div>'


def _prompt_span(number: int, piece: str, token: int, special: bool) -> str:
    names = "c s" if special else f"t{number % 2}"
    return f'<span class="{names}" title="id {token}">{escape(one_line_end(piece))}</span>'


def legend_html(shown: ShownRow | None, limit: int, colours: Palette) -> str:
    """What the looks of the tokens mean, and how many there are of each; without a row an empty line, as high."""
    parts = GAP.join(_counts(shown, limit)) if shown else "&nbsp;"
    return f'<div class="tokens legend">{_style(colours)}<p>{parts}</p></div>'


def _counts(shown: ShownRow, limit: int) -> Iterator[str]:
    names = PAIR if len(shown.conversations) > 1 else ("trained on",)
    for name, conversation in zip(names, shown.conversations, strict=False):
        yield f'<span class="{name}"><span class="t0"> {name} </span></span> <b>{conversation.trained:,}</b>'
    yield f'<span class="c">context only</span> <b>{len(shown.tokens) - shown.trained:,}</b>'
    yield f'<span class="c">{_sizes(shown)} of {limit:,} tokens</span>'
    if shown.cut:
        yield f'<span class="cut">{shown.cut:,} cut</span>'


def _sizes(shown: ShownRow) -> str:
    """57, or of a pair 57 and 61."""
    return " and ".join(f"{len(conversation.tokens):,}" for conversation in shown.conversations)


def _span(token: Token, shade: int) -> str:
    """One token; hovering tells its id."""
    names = [f"t{shade}"] if token.trained else ["c"]
    if token.special:
        names.append("s")
    told = f"id {token.id} · {'trained on' if token.trained else 'context only'}"
    return f'<span class="{" ".join(names)}" title="{told}">{_text(token)}</span>'


def _text(token: Token) -> str:
    """The token's text; a trained line end is made visible, because the model learns it too."""
    text = one_line_end(token.text)
    return escape(text.replace("\n", NEWLINE + "\n") if token.trained else text)


def one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(NUL)


def _cut(shown: Shown, limit: int, lost: int | None) -> str:
    """Where a conversation is cut, what that costs where it is known, and how the lost text begins; "" where it is whole."""
    if not shown.cut:
        return ""
    answers = {None: "", 0: ", no answer among them,"}.get(lost, f", {lost or 0:,} of them answers,")
    fit = "does not fit" if shown.cut == 1 else "do not fit"
    told = f"✂ cut here: {words.count(shown.cut, 'token')}{answers} {fit} into {limit:,}"
    rest = shown.rest[:MOST_LOST] + ("…" if len(shown.rest) > MOST_LOST else "")
    return f'<div class="cut">{told}</div><p class="lost">{escape(one_line_end(rest))}</p>'


def _style(colours: Palette) -> str:
    """Line ends and runs of spaces keep their width; each paragraph runs in its own script's direction."""
    one, other = colours.tokens
    return (
        "<style>"
        ".tokens p {white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; tab-size: 4;"
        " line-height: 1.75; margin: 0}"
        f".tokens span.c, .tokens .lost {{color: {colours.axis}}}"
        f".tokens span.t0, .tokens span.t1 {{border-bottom: 1px solid {colours.train}; padding: 1px 0}}"
        f".tokens span.t0 {{background: {one}}} .tokens span.t1 {{background: {other}}}"
        ".tokens span.s {font-size: 0.82em}"
        f".tokens span:hover {{outline: 1px solid {colours.axis}}}"
        f".tokens .rejected span.t0 {{background: {see_through(colours.held_out, 0.3)}}}"
        f".tokens .rejected span.t1 {{background: {see_through(colours.held_out, 0.16)}}}"
        f".tokens .rejected span.t0, .tokens .rejected span.t1 {{border-bottom: 1px dashed {colours.held_out}}}"
        f".tokens .one {{border-left: 3px solid {colours.train}; padding-left: 12px}}"
        f".tokens .one.rejected {{border-left: 3px dashed {colours.held_out}; margin-top: 16px}}"
        f".tokens .which {{color: {colours.train_label}; font-weight: 600}}"
        f".tokens .rejected .which {{color: {colours.held_out_label}}}"
        f".tokens .cut {{color: {colours.held_out_label}}}"
        f".tokens div.cut {{border-top: 1px dashed {colours.held_out}; margin-top: 8px;"
        " padding: 4px 0; font-size: 0.9em}"
        ".legend p {font-size: 0.875rem}"
        ".tokens .lost {opacity: 0.75; font-style: italic}"
        "</style>"
    )
