"""A folder on this machine is a source: its files of one kind are read one after the other, by name."""

import os
from pathlib import Path

import pytest

from core.data import sources
from core.errors import DataError, ModelError
from core.jobs.preflight import check
from core.recipe import parse
from core.recipe_data import Source


def filled(folder: Path, **files: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


def opened(folder: Path, **source) -> sources.Opened:
    return sources.open_source(Source(source=str(folder), **source))


def test_the_files_of_a_folder_are_read_by_name_and_their_rows_counted_through(tmp_path):
    folder = filled(tmp_path / "data", b_jsonl=b'{"n": 3}\n', a_jsonl=b'{"n": 1}\n\n{"n": 2}\n', README_md=b"# Read me")
    filled(folder, **{"_hidden_jsonl": b'{"n": 9}\n'})
    (folder / "older.jsonl").mkdir()
    found = opened(folder)
    rows = list(found.rows)
    assert [(row.where, row.number, row.values["n"]) for row in rows] == [
        ("a.jsonl, line 1", 1, 1),
        ("a.jsonl, line 3", 2, 2),
        ("b.jsonl, line 1", 3, 3),
    ]
    assert found.total == 3


def test_an_empty_file_among_others_and_a_bad_row_are_kept_apart(tmp_path):
    folder = filled(tmp_path / "data", a_jsonl=b"", b_jsonl=b"oops\n", c_jsonl=b'{"n": 1}\n')
    rows = list(opened(folder).rows)
    assert [bool(row.problem) for row in rows] == [True, False] and rows[0].where == "b.jsonl, line 1"


def test_the_total_is_known_only_if_it_is_known_of_every_file(tmp_path):
    assert opened(filled(tmp_path / "csv", a_csv=b"q,a\nx,y\n", b_csv=b"q,a\nx,y\n")).total is None
    folder = filled(tmp_path / "txt", a_txt=b"One.\n\nTwo.", b_txt=b"Three.")
    assert (opened(folder).total, opened(folder, limit=2).total, len(list(opened(folder, limit=2).rows))) == (3, 2, 2)


def test_the_fingerprint_changes_with_names_and_contents_and_with_nothing_else(tmp_path):
    folder = filled(tmp_path / "data", a_txt=b"One.", b_txt=b"Two.")
    before = opened(folder).fingerprint
    os.utime(folder / "a.txt", (0, 0))
    filled(folder, notes_md=b"x")
    assert opened(folder).fingerprint == before
    (folder / "a.txt").rename(folder / "c.txt")
    renamed = opened(folder).fingerprint
    filled(folder, b_txt=b"Two!")
    assert len({before, renamed, opened(folder).fingerprint}) == 3


def test_a_link_out_of_the_folder_is_followed_and_one_to_nowhere_is_said(tmp_path):
    filled(tmp_path, outside_txt=b"One.")
    folder = filled(tmp_path / "data")
    (folder / "in.txt").symlink_to(tmp_path / "outside.txt")
    assert [row.values for row in opened(folder).rows] == [{"text": "One."}]
    (folder / "lost.txt").symlink_to(tmp_path / "gone.txt")
    with pytest.raises(DataError, match=r"lost\.txt cannot be read: no such file"):
        opened(folder)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has no file that can be read. Put files into it as .jsonl, "),
        ({"README_md": b"x"}, "has no file that can be read"),
        (
            {"a_jsonl": b"{}", "b_csv": b"q", "c_TXT": b"x"},
            "files of several kinds (.csv, .jsonl, .txt). Keep one kind",
        ),
    ],
)
def test_a_folder_that_cannot_be_a_source_is_refused_before_anything_starts(tmp_path, files, said):
    folder = filled(tmp_path / "data", **files)
    with pytest.raises(DataError) as caught:
        check(parse({"data": {"sources": [{"source": str(folder)}]}}), "prepare")
    assert said in str(caught.value) and str(folder) in str(caught.value)
    with pytest.raises(DataError, match="The folder"):
        opened(folder)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("x" * 300, "is no data set"),
        ("/" + "x" * 300 + ".csv", "cannot be read: file name too long. Check the path"),
        ("~nobody-of-this-name/faq.csv", "faq.csv is not there"),
    ],
    ids=["a long text", "a long name", "an unknown user"],
)
def test_whatever_is_typed_as_a_path_is_answered_with_a_sentence(typed, said):
    with pytest.raises(DataError, match=said):
        check(parse({"data": {"sources": [{"source": typed}]}}), "prepare")
    with pytest.raises(ModelError):
        check(parse({"model": {"source": typed}}), "prepare")


def test_a_folder_of_files_without_rows_is_empty(tmp_path):
    with pytest.raises(DataError, match="data is empty: it has no rows"):
        list(opened(filled(tmp_path / "data", a_txt=b"", b_txt=b"\n \n")).rows)


def test_a_folder_of_files_can_be_started_with(tmp_path):
    folder = filled(tmp_path / "data", a_txt=b"One.")
    check(parse({"data": {"sources": [{"source": str(folder)}]}}), "prepare")
