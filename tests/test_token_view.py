"""A row as HTML: what is trained on is shaded and underlined, what is context is gray, and none of it can act."""

import re
from html.parser import HTMLParser

import pytest

from core.data.preview import Shown, ShownRow, Token
from studio.charts import LIGHT
from studio.token_view import MOST_LOST, token_html


class Drawn(HTMLParser):
    """What a browser would make of it: the tags, and the text outside the style."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags[-1][0] != "style":
            self.text += data


def trained(text: str) -> Token:
    return Token(text, 7, trained=True, special=False)


def context(text: str) -> Token:
    return Token(text, 8, trained=False, special=False)


def special(text: str, is_trained: bool = False) -> Token:
    return Token(text, 9, is_trained, special=True)


def row(*tokens: Token, cut: int = 0, lost: int = 0, rest: str = "") -> ShownRow:
    return ShownRow(0, 1, "trained on", [Shown(list(tokens), cut, rest)], lost, seen=1)


def html(*tokens: Token, **options) -> str:
    return token_html(row(*tokens), 1024, LIGHT, **options)


def spans(*tokens: Token, **options) -> list[str]:
    return re.findall(r"<span.*?</span>", html(*tokens, **options), re.DOTALL)


def test_trained_tokens_alternate_two_shades_and_keep_their_leading_space():
    assert spans(trained("Yes"), trained(" it"), trained(" is")) == [
        '<span class="t0" title="id 7 · trained on">Yes</span>',
        '<span class="t1" title="id 7 · trained on"> it</span>',
        '<span class="t0" title="id 7 · trained on"> is</span>',
    ]


def test_without_edges_there_is_one_shade():
    assert 'class="t1"' not in html(trained("Yes"), trained(" it"), edges=False)


def test_trained_tokens_differ_by_more_than_their_colour():
    assert re.search(r"span\.t0, \.tokens span\.t1 \{border-bottom", html(trained("x")))


def test_context_is_gray_and_the_templates_tokens_are_small():
    assert spans(context("Hi"), special("<|im_end|>")) == [
        '<span class="c" title="id 8 · context only">Hi</span>',
        '<span class="c s" title="id 9 · context only">&lt;|im_end|&gt;</span>',
    ]


def test_a_trained_special_token_is_small_and_shaded():
    assert spans(special("x", is_trained=True)) == ['<span class="t0 s" title="id 9 · trained on">x</span>']


def test_a_trained_line_end_is_visible_and_breaks_the_line():
    assert Drawn(html(trained("a\n"), trained("b"))).text == "a↵\nb"


def test_a_line_end_in_the_context_only_breaks_the_line():
    assert Drawn(html(context("a\r\nb\rc\n\nd"))).text == "a\nb\nc\n\nd"


def test_runs_of_spaces_tabs_and_line_ends_keep_their_width():
    shown = html(context("a    b\tc"))
    assert "a    b\tc" in shown and "white-space: pre-wrap" in shown


def test_a_row_without_text_is_empty():
    assert Drawn(html()).text == Drawn(html(context(""))).text == ""


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "</span></p></div><style>*{display:none}</style>",
        "<!-- x -->",
        "' onmouseover='alert(1)",
        '" onmouseover="alert(1)',
        "&lt;b&gt; &#60;",
        "[l](javascript:alert(1)) :red[x] $x^2$ `code` **bold**",
        ":material/lock: -> https://a.example",
    ],
)
def test_no_text_can_act(text):
    """Neither as context, nor trained, nor special, nor cut off."""
    hostile = row(context(text), trained(text), special(text), cut=1, rest=text)
    drawn = Drawn(token_html(hostile, 1024, LIGHT))
    assert {tag for tag, _ in drawn.tags} == {"div", "style", "p", "span"}
    assert {name for _, attrs in drawn.tags for name in attrs} == {"class", "title", "role", "aria-label"}
    assert drawn.text.count(text) == 4


def test_a_nul_is_shown_as_a_character():
    assert Drawn(html(context("a\0b"))).text == "a\ufffdb"


def test_the_cut_is_marked_with_its_cost_and_the_beginning_of_what_is_lost():
    drawn = Drawn(token_html(row(trained("a"), cut=212, lost=180, rest="z" * 2_000), 1024, LIGHT)).text
    assert "✂ cut here: 212 tokens, 180 of them answers, do not fit into 1,024" in drawn
    assert drawn.endswith("z" * MOST_LOST + "…") and drawn.count("z") == MOST_LOST


def test_a_cut_that_costs_no_answer_says_so():
    drawn = Drawn(token_html(row(trained("a"), cut=1, rest="?"), 64, LIGHT)).text
    assert "1 token, no answer among them, does not fit into 64" in drawn


def test_of_a_long_row_the_first_tokens_are_drawn_and_its_end_is_not_yet():
    long = row(*[trained("a")] * 10, cut=5, lost=5, rest="b")
    assert Drawn(token_html(long, 10, LIGHT, most=3)).text == "aaa"
    assert Drawn(token_html(long, 10, LIGHT)).text.startswith("a" * 10 + "✂")
