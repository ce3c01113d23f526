"""A look at a source before anything is prepared: what is in it, how it would be read, and never an exception."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data import peek as peeking
from core.data.peek import Peek, peek
from core.data.readers import parquet
from core.data.readers.table import READERS
from core.recipe_data import Source

ROW = {"question": "Why?", "answer": "So."}


def lined(*rows: dict) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def look(path: Path, content: bytes | None = None, **source) -> Peek | None:
    if content is not None:
        path.write_bytes(content)
    return peek(Source(source=str(path), **source))


def test_a_file_shows_its_columns_first_rows_and_how_it_is_read(tmp_path):
    seen = look(tmp_path / "a.jsonl", lined(*[ROW] * 500, {"note": "never seen"}))
    assert seen == Peek(["question", "answer"], [ROW] * 5, "question_answer", 1.0, total=501, tokens_per_row=28.0)


@pytest.mark.parametrize(
    ("content", "hopeless"),
    [
        (lined(ROW, ROW) + b"{oops", False),
        (b"{oops\n" * 60, False),  # good rows may follow
        (lined({"title": "Why?", "body": "So."}), True),
        (b"", True),
        (lined(ROW) + b'{"question": "\xff"}', False),
    ],
)
def test_a_source_is_hopeless_where_preparing_would_end_by_it(tmp_path, content, hopeless):
    assert look(tmp_path / "a.jsonl", content).hopeless is hopeless


def test_a_column_that_only_later_rows_have_is_found_as_preparing_finds_it(tmp_path):
    content = lined(*[ROW] * 60, ROW | {"note": "Here."})
    seen = look(tmp_path / "a.jsonl", content, columns={"context": "note"})
    assert (seen.columns, seen.problem, seen.hopeless) == (["question", "answer", "note"], None, False)


def test_the_starter_can_be_looked_at_and_the_hub_cannot():
    seen = peek(Source())
    assert (seen.layout, seen.confidence, seen.total, seen.columns) == ("messages", 1, 300, ["messages"])
    assert peek(Source(source="owner/name")) is None
    assert peek(Source(source="...")) is None


def test_a_folder_is_looked_at_as_one(tmp_path):
    for name in ("b.jsonl", "a.jsonl"):
        (tmp_path / name).write_bytes(lined(ROW | {"question": name}))
    seen = look(tmp_path)
    assert [row["question"] for row in seen.rows] == ["a.jsonl", "b.jsonl"] and seen.total == 2


def test_the_share_of_rows_that_fit_is_told_with_the_first_that_does_not(tmp_path):
    seen = look(tmp_path / "a.jsonl", lined(ROW, ROW | {"answer": None}, ROW) + b"oops\n")
    assert (seen.layout, seen.confidence, seen.problem) == ("question_answer", 0.5, None)
    assert seen.bad_row == "a.jsonl, line 2: the column `answer` is missing where text is needed."


def test_settings_decide_how_it_is_read(tmp_path):
    path, content = tmp_path / "a.jsonl", lined({"title": "Why?", "body": "So."})
    assert "fit no layout" in look(path, content).problem
    seen = look(path, columns={"question": "title", "answer": "body"}, limit=1)
    assert (seen.layout, seen.confidence, seen.problem, seen.total) == ("question_answer", 1, None, 1)
    assert "needs a template" in look(path, layout="template").problem


def test_the_total_is_told_only_where_it_is_quickly_known(tmp_path, monkeypatch):
    pyarrow.parquet.write_table(pa.Table.from_pylist([ROW] * 70), tmp_path / "a.parquet")
    assert look(tmp_path / "a.parquet").total == 70
    assert look(tmp_path / "a.csv", b"question,answer\nWhy?,So.\n").total == 1
    monkeypatch.setattr(peeking, "COUNTED_BYTES", 10)
    assert look(tmp_path / "large.jsonl", lined(ROW)).total is None
    monkeypatch.setattr(peeking, "WHOLE_BYTES", 10)
    assert look(tmp_path / "large.json", json.dumps([ROW]).encode()) is None


def test_a_file_is_read_again_only_when_it_or_its_settings_change(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pa.Table.from_pylist([ROW]), path)
    first = look(path)
    with monkeypatch.context() as patched:
        patched.delattr(parquet, "rows")
        assert look(path) is first
    pyarrow.parquet.write_table(pa.Table.from_pylist([ROW] * 3), path)
    assert look(path).total == 3
    assert look(path, layout="fields").layout == "fields"


def test_a_file_that_came_with_the_time_and_size_of_another_is_read_again(tmp_path):
    first = look(tmp_path / "a.jsonl", lined(ROW))
    before = (tmp_path / "a.jsonl").stat()
    time.sleep(0.02)  # a file's times are as coarse as the system's clock ticks
    (tmp_path / "a.jsonl").write_bytes(lined(ROW | {"answer": "No."}))
    os.utime(tmp_path / "a.jsonl", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert first.rows == [ROW] and look(tmp_path / "a.jsonl").rows == [ROW | {"answer": "No."}]


def test_cells_are_shown_short_and_as_any_page_can_show_them(tmp_path):
    row = {"text": "x" * 5_000, "half": "\ud800", "list": [1, {"a": None}], "none": None}
    shown = look(tmp_path / "a.jsonl", lined(row)).rows[0]
    assert len(shown["text"]) == 301
    assert (shown["half"], shown["list"], shown["none"]) == ("?", '[1, {"a": null}]', "")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b"", "is empty: it has no rows"),
        ("a.jsonl", b"oops\n", "a.jsonl, line 1: this is not JSON"),
        ("a.csv", "q,a\nü,y\n".encode("latin-1"), "a.csv, line 2: this is not UTF-8 text"),
        ("a.parquet", b"PAR1", "cannot be read as Parquet"),
        ("a.json", b"[" * 200_000, "nested too deeply"),
        ("a.xlsx", b"PK", "is not a kind of file that can be read"),
        ("gone.jsonl", None, "cannot be read: no such file or directory"),
    ],
)
def test_what_cannot_be_read_is_a_sentence_and_not_an_exception(tmp_path, name, content, said):
    seen = look(tmp_path / name, content)
    assert said in seen.problem and (seen.layout, seen.rows) == (None, [])


def test_a_json_file_too_large_to_be_read_whole_says_so_at_once(tmp_path):
    with (tmp_path / "rows.json").open("wb") as file:
        file.truncate(200_000_001)
    assert "too large to read as one piece" in peek(Source(source=str(tmp_path / "rows.json"))).problem


def test_rows_before_the_damage_are_shown(tmp_path):
    seen = look(tmp_path / "a.csv", b"question,answer\nWhy?,So.\nx,\xff\n")
    assert seen.rows == [ROW] and seen.layout == "question_answer" and "line 3: this is not UTF-8" in seen.problem


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(suffix=st.sampled_from(list(READERS)), content=st.binary(max_size=80) | st.text('{}[]",:a\n', max_size=80))
def test_any_bytes_can_be_looked_at(tmp_path, suffix, content):
    seen = look(tmp_path / f"fuzz{suffix}", content if isinstance(content, bytes) else content.encode())
    assert seen.problem or seen.layout


def test_looking_loads_nothing_heavy(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lined(ROW))
    code = f"import sys; from core.data.peek import peek; from core.recipe_data import Source; assert peek(Source(source={str(tmp_path / 'a.jsonl')!r})).layout; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "datasets", "pyarrow", "streamlit"} & set(loaded)
