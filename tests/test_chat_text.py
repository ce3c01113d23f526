"""What a model writes can format, and nothing else: no HTML, image, link, math, directive or icon of its own."""

import re

import pytest
from markdown_it import MarkdownIt

from studio.chat_text import JOINER, NBSP, safe_markdown


def unescaped(character: str, text: str) -> bool:
    return re.search(rf"(?<!\\){re.escape(character)}", text) is not None


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("<script>alert(1)</script>", "<"),
        ("![i](http://a.example/y.png)", "["),
        ("[l](javascript:alert(1))", "["),
        ("<javascript:alert(1)>", "<"),
        ("[ref]: javascript:alert(1)", "["),
        (":red[hi]", ":"),
        (":smile:", ":"),
        ("costs $5, or $6", "$"),
        ("~5 to ~6", "~"),
        ("&lt;b&gt;", "&"),
    ],
)
def test_what_could_act_becomes_text(text, character):
    assert unescaped(character, text) and not unescaped(character, safe_markdown(text))


def acting(text: str) -> set[str]:
    """What a Markdown parser finds in it beside formatting."""
    blocks = MarkdownIt("commonmark").enable("table").parse(text)
    inner = [token for block in blocks for token in (block.children or [])]
    return {token.type for token in [*blocks, *inner]} & {"image", "link_open", "html_block", "html_inline"}


NASTY = ["![i](u)", "[l](u)", "x <b>", "<http://a.example>", "[r]\n\n[r]: u"]
AROUND = [
    "{}",
    "`{}",
    "`\n{}`",
    "\\`{}`",
    "\\{}",
    "``a`{}",
    "a ``` {}",
    "- a\n  ```\n{}",
    "- ```\n{}",
    "> ```\n{}",
    "1. a\n\n    {}",
    "    {}",
    "~~~\n```\n~~~\n{}",
    "```\n~~~\n```\n{}",
    "````\n```\n````\n{}",
    "``` a`b\n{}\n```",
    "| a |\n|---|\n| `x | {} ` |",
    "# {}",
    "x\n===\n{}",
    "\t{}",
    "*{}*",
    "`a`{}`b`",
    "<!--\n{}\n-->",
    "<pre>\n{}\n</pre>",
]


@pytest.mark.parametrize("around", AROUND)
def test_a_parser_finds_nothing_that_acts_wherever_it_is_hidden(around):
    for nasty in NASTY:
        assert acting(safe_markdown(around.format(nasty))) == set(), (around, nasty)


def test_the_parser_would_find_them_in_the_raw_text():
    assert [acting(nasty) for nasty in NASTY] == [
        {"image"},
        {"link_open"},
        {"html_inline"},
        {"link_open"},
        {"link_open"},
    ]


def test_an_icon_is_not_drawn():
    assert ":material/" not in safe_markdown(":material/lock:").replace("\\", "")
    assert JOINER in safe_markdown(":material/lock:")


def test_single_line_ends_stay_line_ends():
    answer = "Topic: Returns\nAnswer: 60 days.\nNext step: Print the label."
    assert safe_markdown(answer) == "Topic\\: Returns  \nAnswer\\: 60 days.  \nNext step\\: Print the label.  "


@pytest.mark.parametrize(
    "text", ["**bold** and *thin*", "# A title", "> said", "| a | b |", "- one", "1. one", "    - deep"]
)
def test_formatting_stays(text):
    assert safe_markdown(text) == text + "  "


def test_inline_code_stays_as_it_is():
    assert safe_markdown("see `a < b[0]`") == "see `a < b[0]`  "


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("`\n![i](u)`", id="over two lines"),
        pytest.param("| `x | ![i](u) ` |", id="over a table's border"),
        pytest.param("``a`![i](u)", id="of unequal ends"),
        pytest.param("> ```\n![i](u)", id="in a quotation"),
        pytest.param("- ```\n![i](u)", id="in a list's first line"),
    ],
)
def test_code_that_markdown_would_not_see_as_code_hides_nothing(text):
    assert not unescaped("[", safe_markdown(text))


def test_a_code_block_is_kept_word_for_word():
    assert safe_markdown("```python\nprint('<b>', x[0])\n```") == "\n```python\nprint('<b>', x[0])\n```\n"


def test_a_code_block_in_a_list_moves_to_the_margin_where_only_its_own_fence_ends_it():
    assert safe_markdown("- a\n  ```\n![i](u)\n  x = 1") == "- a  \n\n```\n![i](u)\nx = 1\n```\n"


def test_a_fence_inside_a_longer_fence_stays_inside():
    shown = safe_markdown("````\n```\n![i](u)\n```\n````\n[l](u)")
    assert shown == "\n````\n```\n![i](u)\n```\n````\n\n\\[l\\](u)  "


def test_an_unfinished_code_block_is_closed_while_it_streams():
    assert safe_markdown("```py\nx = 1").endswith("x = 1\n```\n")


def test_the_language_of_a_block_is_a_word():
    assert safe_markdown("```py <b>\nx\n```").startswith("\n```py\n")


def test_an_indented_line_is_no_code_block_in_which_escapes_would_show():
    assert safe_markdown("    x < y") == f"{NBSP * 4}x \\< y  "


def test_an_address_that_a_model_makes_up_is_no_link():
    """Markdown as GitHub has it looks for them in the text itself (github.github.com/gfm, 6.9), where escapes are gone."""
    text = "See https://a.example or www.b.example, ask c.d@e.example."
    shown = safe_markdown(text).replace("\\", "").strip()
    assert not re.search(r"https?://|www\.|[-.\w+]@", shown) and shown.replace(JOINER, "") == text
