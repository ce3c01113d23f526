"""Numbers, sizes and times are written the same everywhere, and text from people stays text."""

import math
from datetime import UTC, datetime

import pytest

from core.ascii_name import repository_name
from studio import words
from studio.markdown import plain

NOW = datetime(2026, 11, 23, 14, 2, 10, tzinfo=UTC).timestamp()  # a Monday
DAY = 86_400


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (words.loss(1.1459), "1.146"),
        (words.loss(math.nan), "—"),
        (words.loss(None), "—"),
        (words.perplexity(1.187), "3.28"),
        (words.perplexity(1000.0), "—"),
        (words.rate(2e-4), "2e-4"),
        (words.rate(1.46e-4), "1.46e-4"),
        (words.rate(0), "0"),
        (words.whole(1125), "1,125"),
        (words.percent(0.372), "37%"),
        (words.percent(0.0217, 1), "2.2%"),
        (words.percent(0.004), "<1%"),
        (words.percent(0.005), "<1%"),
        (words.percent(0.006), "1%"),
        (words.percent(0.0004, 1), "<0.1%"),
        (words.percent(0), "0%"),
        (words.parameters(11_300_000), "11.3M"),
        (words.parameters(1_235_814_400), "1.24B"),
        (words.parameters(4_022_468_096), "4.02B"),
        (words.parameters(576), "576"),
        (words.size(7_400_000_000), "7.4 GB"),
        (words.size(152_000_000), "152 MB"),
        (words.size(10), "under 1 MB"),
        (words.used_of(7.4e9, 14.6e9), "**7.4** / 14.6 GB"),
        (words.used_of(188e9, 271e9), "**188** / 271 GB"),
        (words.duration(40), "40 s"),
        (words.duration(59.6), "1 min"),
        (words.duration(780), "13 min"),
        (words.duration(6000), "1 h 40 min"),
        (words.duration(7200), "2 h"),
        (words.duration(3 * DAY), "3 d 0 h"),
        (words.duration(-1), "0 s"),
        (words.duration(math.inf), "—"),
        (words.about(1380), "about 23 min left"),
        (words.count(1, "run"), "1 run"),
        (words.count(1200, "run"), "1,200 runs"),
    ],
)
def test_a_number_is_written_as_the_design_says(written: str, expected: str) -> None:
    assert written == expected


@pytest.mark.parametrize(
    ("days_ago", "expected"),
    [(0, "today 14:02"), (1, "yesterday"), (2, "Sat"), (6, "Tue"), (7, "16 Nov"), (400, "19 Oct 2025")],
)
def test_a_date_is_as_short_as_it_can_be(days_ago: int, expected: str) -> None:
    assert words.when(NOW - days_ago * DAY, NOW, UTC) == expected


def test_a_clock_shows_seconds_only_in_a_log() -> None:
    assert (words.clock(NOW, UTC), words.clock(NOW, UTC, seconds=True)) == ("14:02", "14:02:10")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<script>alert(1)</script>", r"\<script\>alert\(1\)\</script\>"),
        ("[a](b)", r"\[a\]\(b\)"),
        (":red[x] $x$ `y` a_b *c* ~d~ \\ | {e}", r"\:red\[x\] \$x\$ \`y\` a\_b \*c\* \~d\~ \\ \| \{e\}"),
        ("one\ntwo", "one two"),
        ("1. first", r"1\. first"),
        ("a -> b", "a \\-\u2060\\> b"),
        (":smile:", "\\:\u2060smile\\:"),
    ],
)
def test_text_from_people_is_not_read_as_markdown(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("support bot v1.2", "support-bot-v1.2"),
        ("Käse für Ørsted", "Kaese-fuer-Orsted"),
        ("..two -- dashes..", "two-dashes"),
        ("!!!", "my-model"),
        ("客服", "my-model-eae0ef"),
        ("客服 bot", "bot-6ffd7d"),
        ("x" * 200, "x" * 80),
    ],
)
def test_a_name_is_proposed_for_the_hub_in_the_letters_it_takes(name, kept):
    assert repository_name(name, "my-model") == kept
