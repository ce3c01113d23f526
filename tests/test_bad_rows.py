"""Rows that cannot be used are set aside, counted and listed while they are few; more of them refuse the source."""

import pytest

from core.data.bad_rows import REASONS, SHOWN, BadRows
from core.data.preview import Prepared
from core.data.readers.row import RawRow
from core.data.report import SourceCount
from core.errors import DataError
from core.jobs.listing import all_jobs
from core.recipe_data import Source
from tests.test_data import CHAT, adds_up, nothing_half_made, prepared, written

pytestmark = pytest.mark.process

GOOD, BAD = {"messages": CHAT}, {"messages": [CHAT[0]]}


@pytest.mark.parametrize(
    ("bad", "allowed", "fits"),
    [
        (0, 0, True),
        (1, 0.05, True),
        (2, 0.05, False),
        (2, 0.1, True),
        (1, 0, False),
        (15, 0.75, True),
        (16, 0.75, False),
    ],
)
def test_as_many_bad_rows_are_set_aside_as_the_recipe_allows(tmp_path, toy, bad, allowed, fits):
    source = {"source": written(tmp_path, *[BAD] * bad, *[GOOD] * (20 - bad)), "bad_rows": allowed}
    if fits:
        report, _, _ = prepared(toy, source)
        assert adds_up(report) and report["rows_read"] == 20 and sum(report["dropped"].values()) == bad
        assert len(report["problems"]) == min(bad, SHOWN)
    else:
        with pytest.raises(DataError, match=r"rows\.jsonl, line 1: the column `messages` has no assistant turn"):
            prepared(toy, source)
        assert nothing_half_made()


def test_rows_of_every_kind_of_trouble_are_counted_by_their_reason(tmp_path, toy):
    rows = [GOOD, b"{oops", b"\xff", {}, BAD, {"other": 1}, b"[]", *[GOOD] * 5]
    report, _, _ = prepared(toy, {"source": written(tmp_path, *rows), "bad_rows": 0.5}, max_length=64)
    assert adds_up(report) and report["rows_read"] == 12 and sum(report["dropped"].values()) == 6
    places = [problem.split(":")[0] for problem in report["problems"]]
    assert places == [f"rows.jsonl, line {number}" for number in range(2, 8)]
    assert report["dropped"]["has no columns"] == 1 and report["dropped"]["has no column `messages`"] == 1


def test_empty_turns_are_one_reason_wherever_they_stand(tmp_path, toy):
    turn = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    empty = [{"messages": [*turn * pairs, turn[0], turn[1] | {"content": " "}]} for pairs in range(3)]
    report, _, _ = prepared(toy, {"source": written(tmp_path, *empty, *[GOOD] * 10), "bad_rows": 0.5}, max_length=64)
    assert adds_up(report) and report["dropped"] == {"one message in `messages` is empty": 3}
    assert report["problems"][1] == "rows.jsonl, line 2: message 4 in `messages` is empty."


def test_the_share_counts_for_each_source_by_itself(tmp_path, toy):
    good = {"source": written(tmp_path, *[GOOD] * 60, name="good.jsonl")}
    bad = {"source": written(tmp_path, GOOD, BAD, name="bad.jsonl")}
    with pytest.raises(DataError, match=r"bad\.jsonl, line 2"):
        prepared(toy, good, bad)
    report, _, _ = prepared(toy, good, bad | {"bad_rows": 0.5})
    assert adds_up(report) and [s["usable_rows"] + s["held_out_rows"] for s in report["sources"]] == [60, 1]


@pytest.mark.parametrize("broken", [b"{oops", BAD])
def test_a_source_of_bad_rows_alone_is_refused_with_the_first_ten(tmp_path, toy, broken):
    path = written(tmp_path, *[broken] * 30)
    with pytest.raises(DataError) as caught:
        prepared(toy, {"source": path})
    said = str(caught.value)
    assert said.startswith(f"{path} has rows that cannot be used:\n") and said.count("rows.jsonl, line ") == SHOWN
    assert "At most 5% may be set aside" in said
    with pytest.raises(DataError, match="No row is left to train on"):
        prepared(toy, {"source": path, "bad_rows": 1})


def test_good_rows_after_a_long_stretch_of_bad_ones_are_kept_with_their_numbers(tmp_path, toy):
    report, files, _ = prepared(
        toy, {"source": written(tmp_path, *[b"{oops"] * 600, *[GOOD] * 400), "bad_rows": 0.6}, eval_fraction=0
    )
    assert adds_up(report) and report["rows"] == 400 and report["sources"][0]["layout"] == "messages"
    assert Prepared(files).view(0).row(0).row == 601


def test_a_csv_file_is_prepared_like_any_other_and_its_bad_rows_have_lines(tmp_path, toy):
    file = tmp_path / "faq.csv"
    file.write_text("title,body\n" + '"Hi\nthere",Hello\n' * 30 + "Hi,\n" + "Hi,one,two\n" + "Hi,Hello\n" * 30)
    source = {"source": str(file), "columns": {"question": "title", "answer": "body"}}
    report, _, _ = prepared(toy, source)
    assert adds_up(report) and report["sources"][0]["layout"] == "question_answer" and report["rows_read"] == 62
    assert report["problems"] == [
        "faq.csv, line 62: the column `body` is empty.",
        "faq.csv, line 63: has 3 cells, and the header has 2; put quotation marks around a cell that holds a separator.",
    ]


def test_the_report_does_not_grow_with_the_data():
    counted = SourceCount("x", "messages", "y")
    bad = BadRows(Source(bad_rows=1), None, counted)
    for number in range(1_000):
        bad.add(RawRow(f"x, row {number}", number, {}), f"has the role {number} " + "z" * 10_000)
    assert len(counted.dropped) == REASONS + 1 and counted.dropped.total() == 1_000
    assert len(bad.first) == SHOWN and all(len(problem) < 300 for problem in bad.first)


def test_a_job_warns_of_the_rows_it_set_aside(tmp_path, toy):
    prepared(toy, {"source": written(tmp_path, *[GOOD] * 30, BAD)})
    (job,) = all_jobs()
    warned = [event["text"] for event in job.events if event["event"] == "warning"]
    assert len(warned) == 1 and warned[0].startswith(
        "1 of 31 rows were set aside. The first: rows.jsonl, line 31: the column"
    )


def test_what_cannot_come_right_any_more_is_refused_at_once():
    bad = BadRows(Source(bad_rows=0.05), 1_000, SourceCount("x", "messages", "y"))
    with pytest.raises(DataError, match="These are the first 10"):
        for number in range(60):
            bad.add(RawRow(f"x, row {number}", number, {}), "is empty")
    assert bad.number == 51
