"""The prepared data on Model & data: counts that add up, what was left out and why, and every row as tokens."""

import json
import sys
from itertools import pairwise

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core import home
from core.files import write_whole
from core.home import ROOT
from core.recipe import Recipe
from core.recipe_yaml import load, to_yaml
from core.recipe_yaml import with_values as changed
from studio.length_card import cut_words, packing_words
from studio.length_chart import length_figure
from studio.rows_left_out import kept_from_held_out
from studio.source_table import source_frame
from tests.toy_prepared import HELLO, Words, make_prepared

HEAVY = ("torch", "transformers", "peft", "trl", "datasets")
NASTY = "<script>alert(1)</script> [x](javascript:alert(1)) :red[y] $z$"
LIMIT = 16
KEY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def studio_home(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
    for package in HEAVY:
        monkeypatch.setitem(sys.modules, package, None)
    return tmp_path


def edit(values: dict) -> Recipe:
    recipe = changed(Recipe(), values)
    write_whole(home.draft_file(), to_yaml(recipe))
    return recipe


def report(changes: dict | None = None) -> dict:
    """The toy's report, with these changes."""
    path = home.prepared_files(KEY).report
    found = json.loads(path.read_text()) | (changes or {})
    write_whole(path, json.dumps(found))
    return found


def answer(words: str) -> Words:
    return [*HELLO, *((f" {word}", True, False) for word in words.split())]


def opened() -> AppTest:
    app = AppTest.from_file(str(ROOT / "studio" / "app.py"), default_timeout=30).run()
    return app.switch_page("../pages/model_and_data.py").run()


def widget(app: AppTest, kind: str, part: str, source: int = 0):
    """A widget of the row viewer."""
    key = f"viewer:{part}:{KEY}:{source}"
    return next(found for found in app.get(kind) if (found.key or "").startswith(key))


def press(app: AppTest, part: str) -> AppTest:
    return widget(app, "button", part).click().run()


def row_shown(app: AppTest) -> str:
    """The row's HTML, without its style."""
    return app.html[0].value.split("</style>")[1]


def number_shown(app: AppTest) -> int:
    """The row's number in the source."""
    return widget(app, "number_input", "go to").value


def text_of(app: AppTest) -> str:
    kinds = (app.markdown, app.caption)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


@pytest.fixture
def four_rows() -> AppTest:
    """Of 5, 7, 20 and 6 tokens; the first is held out, the third is cut."""
    recipe = edit({"data.max_length": LIMIT})
    rows = [answer("One"), answer("The quick fox"), answer(" ".join(f"w{n}" for n in range(16))), answer("a Fox")]
    make_prepared(recipe, rows)
    return opened()


# Counts


def test_prepared_data_shows_its_counts_and_the_first_row():
    make_prepared(Recipe())
    app = opened()
    assert {metric.label: metric.value for metric in app.metric} == {
        "Rows read": "5",
        "To train on": "3",
        "Held out": "1",
        "Tokens": "21",
        "Trained tokens": "9",
    }
    assert ">Hello</span>" in row_shown(app) and ":orange-badge[held out]" in text_of(app)


def test_a_set_of_an_earlier_version_is_prepared_anew_not_misread():
    make_prepared(Recipe())
    old = report()
    report({"sources": [{name: value for name, value in old["sources"][0].items() if name != "key"}]})
    app = opened()
    assert not app.exception and not app.metric and "Not prepared yet" in text_of(app)


def test_the_table_has_a_line_for_each_data_set_and_their_sum():
    make_prepared(edit({"data.sources": [{"source": "a/one"}, {"source": "b/two"}]}))
    table = next(found for found in opened().dataframe if "Read" in found.value)
    assert table.value["Data set"].tolist() == ["a/one", "b/two", "All"]
    assert table.value["Read"].tolist() == [5, 5, 10]
    assert table.value["Rows / epoch"].tolist() == [3, 4, 7]
    assert table.value["Mean"].tolist() == [7, 7, 7]
    assert table.value["Fit"].tolist()[:2] == [100, 100]


def test_every_line_of_the_table_adds_up():
    make_prepared(edit({"data.sources": [{"source": "a/one"}, {"source": "b/two"}]}))
    found = report({"left_out": 1})
    found["sources"][0] |= {"dropped": {"exact duplicate": 1, "is empty": 1}, "left_out": 1, "distinct_rows": 1}
    frame = source_frame(found)
    parts = ["Dropped", "Duplicates", "Held out", "Left out", "Distinct"]
    assert frame[parts].sum(axis=1).tolist() == frame["Read"].tolist() == [5, 5, 10]
    assert frame["Duplicates"].tolist() == [1, 0, 1]


def test_one_data_set_needs_no_sum_and_no_column_of_what_the_mix_left_out():
    make_prepared(Recipe())
    frame = source_frame(report())
    assert len(frame) == 1 and "Left out" not in frame


# Left out


def left_out(app: AppTest):
    return next((box for box in app.expander if "left out" in box.label), None)


def words_in(box) -> str:
    return "\n".join(str(found.value) for found in (*box.markdown, *box.caption)).replace("\\", "")


def test_rows_left_out_are_counted_by_reason_and_shown_beside_those_they_are_like():
    make_prepared(Recipe())
    twin = {"source": "starter", "row": 3, "text": "Hi there"}
    report(
        {
            "dropped": {"exact duplicate": 2, "has no assistant turn": 1},
            "left_out": 4,
            "examples": {"exact duplicate": [{"source": "starter", "row": 9, "text": "Hi there", "like": twin}]},
            "problems": [f"faq.csv, line 13: {NASTY}."],
        }
    )
    box = left_out(opened())
    assert box.label == "Rows left out: 7"
    assert [tab.label for tab in box.tabs] == [
        "Exact duplicate :gray[2]",
        "Set aside while reading :gray[1]",
        "Left out by the mix :gray[4]",
    ]
    duplicates, unread, _ = box.tabs
    assert "row 9 of " in words_in(duplicates) and "like row 3 of " in words_in(duplicates)
    assert "1 row: has no assistant turn." in words_in(unread) and "faq.csv, line 13" in words_in(unread)


def test_markup_in_rows_left_out_shows_as_text():
    make_prepared(Recipe())
    example = {"source": NASTY, "row": 9, "text": NASTY, "like": None}
    report({"dropped": {"near duplicate": 1, NASTY: 1}, "examples": {"near duplicate": [example]}, "problems": [NASTY]})
    shown = "\n".join(str(found.value) for found in (*left_out(opened()).markdown, *left_out(opened()).caption))
    assert shown.count("\\<script\\>") == 4 and "<script>" not in shown and ":red[y" not in shown


def test_where_every_row_is_used_nothing_is_told():
    make_prepared(Recipe())
    report({"dropped": {}})
    assert left_out(opened()) is None


def test_rows_that_moved_from_held_out_to_training_are_told():
    make_prepared(Recipe())
    report({"kept_from_held_out": 3})
    assert kept_from_held_out(3) in text_of(opened())
    assert "1 row that would have been held out has a near twin, so it is trained on" in kept_from_held_out(1)


# Cleaning


def test_the_cleaning_rules_go_into_the_draft():
    app = opened()
    app.toggle(key="field:data.cleaning.exact_duplicates").set_value(False).run()
    app.toggle(key="field:data.cleaning.near_duplicates").set_value(True).run()
    app.toggle(key="field:data.cleaning.leaks").set_value(False).run()
    app.toggle(key="field:data.cleaning.broken_turns").set_value(False).run()
    app.button_group(key="field:data.cleaning.too_long").set_value("drop").run()
    app.number_input(key="field:data.cleaning.shortest_answer").set_value(5).run()
    rules = load(home.draft_file()).data.cleaning
    assert rules.model_dump() == {
        "exact_duplicates": False,
        "near_duplicates": True,
        "leaks": False,
        "broken_turns": False,
        "too_long": "drop",
        "shortest_answer": 5,
    }
    (box,) = (box for box in app.expander if box.label.startswith("Cleaning"))
    assert "drops near duplicates · drops what is too long · answers from 5 tokens" in box.label


def test_another_rule_makes_another_set():
    make_prepared(Recipe())
    app = opened()
    assert app.metric
    app.toggle(key="field:data.cleaning.leaks").set_value(False).run()
    assert not app.metric and "Not prepared yet" in text_of(app)


# The rows


def test_the_arrows_leaf_through_the_rows(four_rows):
    widget(four_rows, "pagination", "arrows").set_value(2).run()
    assert "> fox</span>" in row_shown(four_rows) and "2 of 4 rows" in text_of(four_rows)
    assert number_shown(four_rows) == 2 and ":blue-badge[trained on]" in text_of(four_rows)


def test_buttons_jump_to_the_longest_and_the_shortest(four_rows):
    assert number_shown(press(four_rows, "Longest")) == 3
    assert number_shown(press(four_rows, "Shortest")) == 1
    assert number_shown(press(four_rows, "Most cut")) == 3


def test_the_cut_is_marked_where_it_is(four_rows):
    shown = row_shown(press(four_rows, "Longest"))
    assert "✂ cut here: 4 tokens, 4 of them answers, do not fit into 16" in shown
    assert shown.split("✂")[1].endswith('<p class="lost"> w12 w13 w14 w15</p></div>')
    assert ">4 cut</span>" in four_rows.html[1].value


def test_where_nothing_is_cut_the_button_says_why():
    make_prepared(Recipe())
    button = widget(opened(), "button", "Most cut")
    assert button.disabled and "No row" in button.help


def test_random_shows_another_row_each_time(four_rows):
    seen = [number_shown(four_rows)] + [number_shown(press(four_rows, "Random")) for _ in range(5)]
    assert all(one != next for one, next in pairwise(seen))


def test_search_finds_words_in_any_case_and_the_arrows_leaf_through_the_hits(four_rows):
    widget(four_rows, "text_input", "search").set_value("fOX").run()
    assert number_shown(four_rows) == 2 and "1 of 2 rows that hold it" in text_of(four_rows)
    widget(four_rows, "pagination", "arrows").set_value(2).run()
    assert number_shown(four_rows) == 4 and "2 of 2 rows that hold it" in text_of(four_rows)
    widget(four_rows, "text_input", "search").set_value("").run()
    assert number_shown(four_rows) == 4 and "4 of 4 rows" in text_of(four_rows)


def test_search_without_a_hit_says_so_and_can_be_left_by_a_jump(four_rows):
    widget(four_rows, "text_input", "search").set_value(NASTY).run()
    assert "No row holds these words." in text_of(four_rows) and not four_rows.exception
    press(four_rows, "Longest")
    assert number_shown(four_rows) == 3 and widget(four_rows, "text_input", "search").value == ""


def test_rows_of_one_fate_are_leafed_through_alone(four_rows):
    choose = widget(four_rows, "selectbox", "fate")
    assert choose.options == ["All rows (4)", "Trained on (3)", "Held out (1)"]
    choose.set_value("held out").run()
    assert number_shown(four_rows) == 1 and "1 of 1 row" in text_of(four_rows)
    widget(four_rows, "text_input", "search").set_value("fox").run()
    assert "No row holds these words." in text_of(four_rows)


def test_a_row_is_gone_to_by_its_number_in_the_source(four_rows):
    widget(four_rows, "text_input", "search").set_value("fox").run()
    widget(four_rows, "number_input", "go to").set_value(3).run()
    assert number_shown(four_rows) == 3 and "3 of 4 rows" in text_of(four_rows)
    widget(four_rows, "number_input", "go to").set_value(900).run()
    assert number_shown(four_rows) == 4  # the last there is


def test_a_row_that_is_repeated_says_how_often_it_is_seen():
    job = make_prepared(Recipe())
    np.save(home.prepared_files(job.prepared_key).train, [1, 1, 1, 2, 3])
    app = opened()
    widget(app, "pagination", "arrows").set_value(2).run()
    assert "seen 3 times per epoch" in text_of(app)


def test_each_data_set_has_its_own_rows_and_remembers_its_place():
    make_prepared(edit({"data.sources": [{"source": "a/one"}, {"source": "b/two"}]}))
    app = opened()
    widget(app, "pagination", "arrows").set_value(3).run()
    app.selectbox(key="viewer:source").set_value(1).run()
    assert widget(app, "number_input", "go to", source=1).value == 1 and ":blue-badge[trained on]" in text_of(app)
    app.selectbox(key="viewer:source").set_value(0).run()
    assert number_shown(app) == 3


def test_token_edges_can_be_turned_off():
    make_prepared(Recipe())
    app = opened()
    assert 'class="t1' in row_shown(app)
    app.toggle(key="viewer:edges").set_value(False).run()
    assert 'class="t1' not in row_shown(app)


def test_markup_in_rows_shows_as_text():
    make_prepared(Recipe(), [[(NASTY, True, False)]])
    shown = row_shown(opened())
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown and "<script" not in shown


def test_of_a_very_long_row_the_first_tokens_are_drawn_until_all_are_asked_for(monkeypatch):
    monkeypatch.setattr("studio.row_viewer.MOST_TOKENS", 5)
    make_prepared(Recipe())
    app = opened()
    assert row_shown(app).count("<span") == 5
    press(app, "whole")
    assert row_shown(app).count("<span") == 7


# How long


def test_what_the_cut_costs_and_what_packing_would_make_is_said(four_rows):
    assert "**1 row** of 4 cut at 16 tokens: **4 tokens of answers** lost." in text_of(four_rows)
    assert "Packing would make 1 row of 16 tokens out of 3, 50% filled." in text_of(four_rows)
    assert "Packing is on and makes" in packing_words(report(), on=True)


def test_rows_that_are_left_out_for_their_length_are_not_called_cut():
    make_prepared(Recipe())
    assert "Every row fits into 1,024 tokens." in cut_words(report())
    assert "**2 rows** over 1,024 tokens left out whole." in cut_words(
        report({"dropped": {"longer than max tokens": 2}})
    )


@pytest.mark.parametrize(("limit", "text"), [(80, "limit 80"), (150, "limit 150"), (4096, "limit 4,096 →")])
def test_the_histogram_marks_the_limit_and_what_is_beyond_it(limit, text):
    report = {"lengths": {"edges": [0, 50, 100], "counts": [7, 2]}, "max_length": limit}
    figure = length_figure(report)
    assert figure["layout"]["annotations"][0]["text"] == text


def test_bars_beyond_the_limit_have_another_colour():
    report = {"lengths": {"edges": [0, 50, 100], "counts": [7, 2]}, "max_length": 60}
    one, two = length_figure(report)["data"][0]["marker"]["color"]
    assert one != two
