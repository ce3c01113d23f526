"""Data: rows from files, the starter and the Hub become tokens; what is wrong is named with its place."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import home
from core.data import preview, sources
from core.data.conversation import PlainText, RowProblem
from core.data.formats.recognise import Reading, columns_of, reading_of
from core.data.formats.table import FORMATS
from core.data.prepare import find_model, prepare
from core.errors import DataError
from core.jobs.folder import Job
from core.recipe import Recipe, parse
from core.recipe_data import Source
from core.training.session import rows_of
from tests.test_jobs import new_job

pytestmark = pytest.mark.process

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def written(folder: Path, *rows, name: str = "rows.jsonl") -> str:
    file = folder / name
    file.write_bytes(b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows))
    return str(file)


AS_IT_IS = {"exact_duplicates": False, "leaks": False}


def prepared(toy: Path, *data_sources: dict, objective: str = "sft", **data) -> tuple[dict, home.PreparedFiles, Recipe]:
    """Prepare for the toy model; rows that are the same stay, unless `cleaning` says otherwise."""
    data = {"sources": list(data_sources), "cleaning": AS_IT_IS} | data
    recipe = parse({"model": {"source": str(toy)}, "data": data, "training": {"objective": objective}})
    worker = new_job(f"20260101-{len(list(home.jobs_folder().glob('*'))):06d}-try", "prepare", recipe)
    report, files = prepare(worker, find_model(worker))
    worker.finish("finished", "Done.")
    return report, files, recipe


def nothing_half_made() -> bool:
    """No prepared set, and nothing of an encoded one that could not be finished."""
    return not [*home.prepared_folder().glob("*"), *home.encoded_folder().glob(".*")]


def adds_up(report: dict) -> bool:
    """Rows read = dropped + left out by the mix + held out + trained on, in all and for each source."""
    parts = ("left_out", "held_out_rows", "distinct_rows")
    return all(
        sum(counted["dropped"].values()) + sum(counted[part] for part in parts) == counted["rows_read"]
        for counted in (report, *report["sources"])
    )


@pytest.mark.parametrize(
    ("layout", "row", "columns"),
    [
        ("messages", {"messages": CHAT}, {}),
        ("messages", {"dialog": CHAT}, {"messages": "dialog"}),
        ("conversations", {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}, {}),
        ("alpaca", {"instruction": "Hi", "input": "", "output": "Hello"}, {}),
        ("alpaca", {"instruction": "Hi", "output": "Hello"}, {}),
        ("alpaca", {"q": "Hi", "a": "Hello"}, {"instruction": "q", "output": "a"}),
    ],
)
def test_a_layout_is_recognised_and_becomes_a_conversation(layout, row, columns):
    source = Source(columns=columns)
    reading = reading_of(source, list(row))
    assert layout == reading.layout.NAME
    assert reading.conversation(row).messages == CHAT


def test_the_input_of_alpaca_follows_the_instruction():
    row = {"instruction": "Translate", "input": "chat", "output": "cat"}
    assert FORMATS["alpaca"].conversation(row, FORMATS["alpaca"].COLUMNS).messages[0]["content"] == "Translate\n\nchat"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": [{"role": "user", "content": "Hi"}]}, "the column `messages` has no assistant turn"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "the column `messages` has only assistant turns"),
        ({"messages": [CHAT[0], CHAT[1] | {"weight": 0}]}, "has only assistant turns of weight 0"),
        ({"messages": [CHAT[0], CHAT[1] | {"weight": 0.5}]}, "`weight` of message 2 in `messages` is 0.5; known are 0"),
        ({"messages": CHAT * 3_000}, "the column `messages` holds 6,000 messages, and 2,000 at most are read"),
        (
            {"messages": [CHAT[0] | {"content": "x" * 1_000_000}, CHAT[1]] * 6},
            "holds more than 5,000,000 characters in",
        ),
        ({"messages": []}, "is not a list of messages"),
        ({"messages": "Hi"}, "is not a list of messages"),
        ({"messages": ["Hi"]}, "message 1 in `messages` is not an object"),
        ({"messages": [CHAT[0], {"role": "bot", "content": "x"}]}, "message 2 in `messages` has the role 'bot'"),
        ({"messages": [CHAT[0], {"role": "assistant", "content": "  "}]}, "message 2 in `messages` is empty"),
        ({"messages": [CHAT[0], {"role": "assistant", "content": None}]}, "is missing where text is needed"),
        ({"messages": [CHAT[0], {"role": ["x"], "content": "x"}]}, "has the role ['x']"),
        ({"other": 1}, "has no column `messages`"),
    ],
)
def test_a_row_that_cannot_be_learned_from_says_why(row, said):
    with pytest.raises(RowProblem) as caught:
        Reading(Source(), FORMATS["messages"], FORMATS["messages"].COLUMNS).conversation(row)
    assert said in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "x"]), inner),
    max_leaves=12,
)


@given(st.sampled_from(list(FORMATS)), JSON, JSON, JSON)
def test_any_values_are_a_conversation_or_a_sentence(layout, first, second, third):
    names = [*FORMATS[layout].COLUMNS, "x", "y"]
    row = dict(zip(names, [first, second, third], strict=False))
    source = Source(layout=layout, template="{x} {y}")
    try:
        said = Reading(source, FORMATS[layout], columns_of(source, FORMATS[layout])).conversation(row)
    except RowProblem as problem:
        assert str(problem)
    else:
        texts = [said.text] if isinstance(said, PlainText) else [message["content"] for message in said.messages]
        assert all(isinstance(text, str) and text.strip() for text in texts)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{oops", "rows.jsonl, line 2: this is not JSON"),
        (b"[1, 2]", "rows.jsonl, line 2: this is JSON but not an object"),
        (b"\xff\xfe\x00", "rows.jsonl, line 2: this is not UTF-8 text"),
        (b'{"messages": "' + b"x" * 10 + b"\x00" + b'"}', "rows.jsonl, line 2: this is not JSON"),
        (b"[" * 100_000, "rows.jsonl, line 2: this is not JSON"),
        (
            b'{"messages": [{"role": "user", "content": "Hi"}]}',
            "rows.jsonl, line 2: the column `messages` has no assistant turn",
        ),
        (b'{"text": "Hi"}', "rows.jsonl, line 2: has no column `messages`"),
    ],
)
def test_a_bad_line_is_named_and_nothing_half_made_stays(tmp_path, toy, line, said):
    source = {"source": written(tmp_path, {"messages": CHAT}, line, {"messages": CHAT})}
    with pytest.raises(DataError) as caught:
        prepared(toy, source)
    assert said in str(caught.value)
    assert nothing_half_made()


def test_several_bad_rows_are_named_together(tmp_path, toy):
    bad = {"messages": [CHAT[0]]}
    with pytest.raises(DataError) as caught:
        prepared(toy, {"source": written(tmp_path, {"messages": CHAT}, bad, bad)})
    assert "line 2: " in str(caught.value)
    assert "line 3: " in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"\n\n  \n", "is empty"), (b'{"title": "x"}', "the columns (title) fit no layout")],
)
def test_a_file_without_conversations_is_refused(tmp_path, toy, content, said):
    with pytest.raises(DataError) as caught:
        prepared(toy, {"source": written(tmp_path, content)})
    assert said in str(caught.value)


def test_a_line_separator_inside_a_text_does_not_end_the_row(tmp_path):
    row = {"messages": [CHAT[0], {"role": "assistant", "content": "one\u2028two\x85three"}]}
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    assert [raw.values for raw in sources.open_source(Source(source=str(file))).rows] == [row]


def test_the_report_adds_up_to_the_rows_read(tmp_path, toy):
    long_question = {"messages": [{"role": "user", "content": "why " * 40}, CHAT[1]]}
    source = {"source": written(tmp_path, *[{"messages": CHAT}] * 9, long_question)}
    report, _, _ = prepared(toy, source, {"source": "starter", "limit": 5}, max_length=64, eval_fraction=0.2)
    assert report["rows_read"] == 15
    assert adds_up(report)
    assert report["dropped"]["nothing left to learn after the cut"] >= 1
    assert [source["layout"] for source in report["sources"]] == ["messages", "messages"]
    assert sum(report["lengths"]["counts"]) == 15
    assert report["cut_rows"] >= 1


def test_what_is_previewed_is_what_trains(toy):
    _, files, recipe = prepared(toy, {"source": "starter", "limit": 12}, max_length=200)
    train, held_out = rows_of(files, recipe)
    view = preview.prepared_for(recipe).view(0)
    shown = [view.row(int(number)) for number in [*np.load(files.train), *np.load(files.held_out)]]
    trained = [*train, *held_out]
    assert len(view) == len(shown) == len(trained) == 12
    for row, sample in zip(trained, shown, strict=True):
        assert [token.id for token in sample.tokens] == row["input_ids"]
        assert [token.trained for token in sample.tokens] == [label != -100 for label in row["labels"]]
        assert len(row["input_ids"]) <= 200
    whole = "".join(token.text for token in shown[0].tokens)
    assert "Next step: " in whole


def test_the_text_of_the_tokens_joins_to_the_conversation_also_for_emoji(tmp_path, toy):
    answer = "Grüße 👩‍👩‍👧 <b>日本</b>"
    source = {"source": written(tmp_path, *[{"messages": [CHAT[0], {"role": "assistant", "content": answer}]}] * 2)}
    _, _, recipe = prepared(toy, source)
    row = preview.prepared_for(recipe).view(0).row(0)
    assert answer in "".join(token.text for token in row.tokens)
    assert "".join(token.text for token in row.tokens if token.trained) == answer + "<|im_end|>"


def test_the_same_data_is_not_prepared_twice_and_other_data_is(toy):
    first, files, _ = prepared(toy, {"source": "starter", "limit": 6})
    written_at = files.report.stat().st_mtime_ns
    again, same, _ = prepared(toy, {"source": "starter", "limit": 6})
    other, different, _ = prepared(toy, {"source": "starter", "limit": 7})
    assert (again, same) == (first, files)
    assert files.report.stat().st_mtime_ns == written_at
    assert different.folder != files.folder
    assert other["rows_read"] == 7


def test_a_file_that_changed_is_prepared_again(tmp_path, toy):
    path = written(tmp_path, *[{"messages": CHAT}] * 3)
    _, before, _ = prepared(toy, {"source": path})
    written(tmp_path, *[{"messages": CHAT}] * 4)
    report, after, _ = prepared(toy, {"source": path})
    assert after.folder != before.folder
    assert report["rows_read"] == 4


def test_a_file_that_changes_while_it_is_read_is_kept_under_no_name(tmp_path, toy):
    path = written(tmp_path, {"messages": CHAT})
    asked = Source(source=path)
    opened = sources.open_source(asked)
    written(tmp_path, {"messages": [CHAT[0], {"role": "assistant", "content": "Changed"}]})
    with pytest.raises(DataError, match="was changed while it was read"):
        list(opened.rows)
    again = sources.open_source(asked)
    Path(path).touch()
    assert len(list(again.rows)) == 1


def test_a_run_says_its_own_files_name_where_the_same_contents_were_prepared_under_another(tmp_path, toy):
    paths = [written(tmp_path, *[{"messages": CHAT}] * 3, name=name) for name in ("first.jsonl", "second.jsonl")]
    made = [prepared(toy, {"source": path})[1] for path in paths]
    jobs = [Job(folder) for folder in sorted(home.jobs_folder().glob("2*"))]
    assert made[0] == made[1] and [job.resolved["data"][0]["source"] for job in jobs] == paths


@pytest.mark.parametrize(
    ("name", "layout", "columns", "rows"),
    [
        ("finetome_layout.jsonl", "conversations", {}, 235),
        ("alpaca_layout.jsonl", "alpaca", {}, 175),
        ("dolly_layout.jsonl", "alpaca", {"input": "context", "output": "response"}, 175),
        ("gsm8k_test.jsonl", "alpaca", {"instruction": "question", "output": "answer"}, 1319),
    ],
)
def test_real_files_are_prepared_whole(shared_data, toy, name, layout, columns, rows):
    report, _, _ = prepared(toy, {"source": str(shared_data / name), "columns": columns}, max_length=8192)
    assert report["sources"][0]["layout"] == layout
    assert report["rows"] + report["held_out_rows"] == rows
    assert 0 < report["supervised_tokens"] < report["tokens"]
