"""A row as Markdown: what is trained on is shaded, what is context is gray, and none of it can act."""

import re

import pytest

from core.data.preview import Token
from studio.token_view import JOINER, NBSP, escaped, token_markdown

SHADES = ("#111111", "#222222")


def trained(text: str) -> Token:
    return Token(text, 1, trained=True, special=False)


def context(text: str) -> Token:
    return Token(text, 1, trained=False, special=False)


def special(text: str, is_trained: bool = False) -> Token:
    return Token(text, 1, is_trained, special=True)


def test_trained_tokens_alternate_two_shades_and_keep_their_leading_space():
    shown = token_markdown([trained("Yes"), trained(" it"), trained(" is")], SHADES)
    assert shown == (
        ':color[Yes]{background="#111111"}:color[ it]{background="#222222"}:color[ is]{background="#111111"}'
    )


def test_without_edges_there_is_one_shade():
    shown = token_markdown([trained("Yes"), trained(" it")], SHADES, edges=False)
    assert "#222222" not in shown and shown.count("#111111") == 2


def test_context_is_gray_and_the_templates_tokens_are_small():
    assert token_markdown([context("Hi")], SHADES) == ":gray[Hi]"
    assert token_markdown([special("<|im_end|>")], SHADES) == r":small[:gray[\<\|im_end\|\>]]".replace("_", r"\_")


def test_a_trained_special_token_is_small_and_shaded():
    assert token_markdown([special("x", is_trained=True)], SHADES) == ':color[:small[:gray[x]]]{background="#111111"}'


def test_a_trained_line_end_is_visible_and_breaks_the_line():
    assert token_markdown([trained("a\n"), trained("b")], SHADES, edges=False) == (
        ':color[a↵]{background="#111111"}\\\n:color[b]{background="#111111"}'
    )


def test_a_line_end_in_the_context_only_breaks_the_line():
    assert token_markdown([context("a\r\nb")], SHADES) == ":gray[a]\\\n:gray[b]"


def test_an_empty_line_does_not_end_the_paragraph():
    assert token_markdown([context("a\n\nb")], SHADES) == f":gray[a]\\\n{NBSP}\\\n:gray[b]"


def test_line_ends_at_the_end_leave_nothing_behind():
    assert token_markdown([context("a\n\n")], SHADES) == ":gray[a]"


def test_a_row_without_text_is_empty():
    assert token_markdown([], SHADES) == token_markdown([context("")], SHADES) == ""


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "![i](http://x/y.png)",
        "[l](javascript:alert(1))",
        ":red[x]",
        "$x^2$",
        "`code`",
        "**bold** _it_ ~~no~~",
        "a | b",
        "]{background=red}",
        "&lt;",
    ],
)
def test_every_character_that_could_act_is_escaped(text):
    assert not re.search(r"(?<!\\)[<>\[\]$`*_~|{}&:]", escaped(text))
    assert re.sub(r"\\(.)", r"\1", escaped(text)).replace(JOINER, "") == text


@pytest.mark.parametrize(
    "text", ["->", "<-", "--", ">=", ":material/lock:", "https://a.example", "www.a.example", "a@b.example"]
)
def test_what_streamlit_turns_into_symbols_and_links_is_kept_apart(text):
    assert JOINER in escaped(text)
    assert escaped(text).replace(JOINER, "").replace("\\", "") == text


def test_runs_of_spaces_and_tabs_keep_their_width():
    assert escaped("a    b") == f"a{NBSP * 3} b"
    assert escaped("\tx") == f"{NBSP * 3} x"
