"""Duplicates, leaks, lengths and held-out rows: every row has a fate, with its reason, and the report adds up."""

import json
import os
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import home
from core.data import held_out, similar
from core.data.fates import Fate
from core.data.preview import Prepared
from core.data.similar import ALIKE, runs
from core.data.turn_order import is_broken
from core.errors import DataError
from tests.test_data import adds_up, prepared, written

pytestmark = pytest.mark.process

WORDS = [
    "river",
    "stone",
    "market",
    "early",
    "winter",
    "paper",
    "engine",
    "seldom",
    "bright",
    "corner",
    "answer",
    "window",
]


def chat(question: str, answer: str = "Yes.", system: str | None = None) -> dict:
    before = [{"role": "system", "content": system}] if system else []
    return {"messages": [*before, {"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def different(number: int, length: int = 12) -> list[dict]:
    """Rows of random words, no two alike."""
    lot = random.Random(5)
    return [
        chat(f"{place} " + " ".join(lot.choices(WORDS, k=length)), " ".join(lot.choices(WORDS, k=length)))
        for place in range(number)
    ]


def fates(files) -> list[str]:
    report = Prepared(files).report
    return [report["fates"][fate] for fate in np.load(files.fates)]


def clean(**rules) -> dict:
    return {"cleaning": rules}


def test_an_exact_duplicate_is_dropped_within_and_across_data_sets_whatever_its_layout(tmp_path, toy):
    one = written(tmp_path, chat("Hi"), chat("Ho"), chat("Hi"), name="one.jsonl")
    two = written(
        tmp_path, {"instruction": "Ho", "output": "Yes."}, {"instruction": "He", "output": "Yes."}, name="two.jsonl"
    )
    report, files, _ = prepared(toy, {"source": one}, {"source": two}, eval_fraction=0, **clean())
    assert fates(files) == ["trained on", "trained on", "exact duplicate", "exact duplicate", "trained on"]
    assert adds_up(report) and report["dropped"] == {"exact duplicate": 2}
    like = [
        (example["row"], example["like"]["source"], example["like"]["row"])
        for example in report["examples"]["exact duplicate"]
    ]
    assert like == [(3, one, 1), (1, one, 2)]


def test_a_conversation_is_no_duplicate_where_another_of_its_turns_is_learned(tmp_path, toy):
    asks, answers = chat("Hi")["messages"]

    def learning(*weights: int) -> dict:
        return {"messages": [turn for weight in weights for turn in (asks, answers | {"weight": weight})]}

    path = {"source": written(tmp_path, learning(1, 0), learning(0, 1), learning(0, 1))}
    report, files, _ = prepared(toy, path, eval_fraction=0, **clean())
    assert fates(files) == ["trained on", "trained on", "exact duplicate"]
    assert report["examples"]["exact duplicate"][0]["like"]["row"] == 2 and adds_up(report)


def test_the_real_alpaca_and_dolly_files_hold_the_same_rows(shared_data, toy):
    alpaca = {"source": str(shared_data / "alpaca_layout.jsonl")}
    dolly = {"source": str(shared_data / "dolly_layout.jsonl"), "columns": {"input": "context", "output": "response"}}
    report, _, _ = prepared(toy, alpaca, dolly, max_length=16384, **clean())
    assert adds_up(report)
    assert [source["dropped"].get("exact duplicate", 0) for source in report["sources"]] == [0, 175]


def test_a_near_duplicate_is_dropped_only_where_that_is_asked_for(tmp_path, toy):
    rows = different(30, length=40)
    near = json.loads(json.dumps(rows[4]).replace("river", "brook", 1))
    path = {"source": written(tmp_path, *rows, near)}
    report, _, _ = prepared(toy, path, eval_fraction=0, **clean())
    assert report["dropped"] == {}
    report, files, _ = prepared(toy, path, eval_fraction=0, **clean(near_duplicates=True))
    assert report["dropped"] == {"near duplicate": 1} and fates(files)[30] == "near duplicate"
    assert report["examples"]["near duplicate"][0]["like"]["row"] == 5 and adds_up(report)


def test_a_long_system_prompt_that_all_share_makes_no_rows_alike(tmp_path, toy):
    system = " ".join(WORDS * 20)
    rows = [chat(row["messages"][0]["content"], row["messages"][1]["content"], system) for row in different(20)]
    path = {"source": written(tmp_path, *rows)}
    report, _, _ = prepared(toy, path, eval_fraction=0, max_length=16384, **clean(near_duplicates=True))
    assert report["dropped"] == {} and report["rows"] == 20


def test_a_short_question_that_stands_in_the_system_prompt_as_well_makes_no_rows_alike(tmp_path, toy):
    rows = [chat(word, word[::-1], " ".join(WORDS * 20)) for word in WORDS]
    path = {"source": written(tmp_path, *rows)}
    report, _, _ = prepared(toy, path, eval_fraction=0, max_length=16384, **clean(near_duplicates=True))
    assert report["dropped"] == {} and report["rows"] == len(WORDS)


def pairs(number: int, **columns: str) -> list[dict]:
    """Rows with a chosen and a rejected answer, no two alike."""
    lot = random.Random(6)
    rows = [[f"{lot.getrandbits(400):x}" for _ in range(3)] for _ in range(number)]
    return [dict(zip(("prompt", "chosen", "rejected"), row, strict=True)) | columns for row in rows]


def test_a_system_prompt_that_both_conversations_of_all_pairs_have_makes_no_pairs_alike(tmp_path, toy):
    path = {"source": written(tmp_path, *pairs(20, system=f"{random.Random(7).getrandbits(16_000):x}"))}
    rules = {"max_length": 16384, "eval_fraction": 0.2} | clean(near_duplicates=True)
    report, _, _ = prepared(toy, path, objective="dpo", **rules)
    assert report["dropped"] == {} and report["kept_from_held_out"] == 0 and report["held_out_rows"] == 4


def test_a_chosen_answer_that_is_trained_on_is_not_held_out_beside_another_rejected_one(tmp_path, toy):
    rows = pairs(30)
    again = [row | {"rejected": other["rejected"]} for row, other in zip(rows, rows[10:20], strict=False)]
    path = {"source": written(tmp_path, *rows, *again)}
    rules = {"max_length": 16384, "eval_fraction": 0.25} | clean(near_duplicates=True)
    report, files, _ = prepared(toy, path, objective="dpo", **rules)
    held = [number for number, fate in enumerate(fates(files)) if fate == "held out"]
    assert len(held) == 10 and min(held) >= 10 and max(held) < 30 and report["dropped"] == {}


def test_a_row_with_a_twin_is_not_held_out_and_nothing_is_lost(tmp_path, toy):
    rows = [row for row in different(20, length=30) for _ in range(2)] + different(40, length=25)[20:]
    path = {"source": written(tmp_path, *rows)}
    report, files, _ = prepared(toy, path, eval_fraction=0.2, cleaning={"exact_duplicates": False})
    held = [number for number, fate in enumerate(fates(files)) if fate == "held out"]
    assert len(held) == report["held_out_rows"] == 12 and min(held) >= 40
    assert report["kept_from_held_out"] > 0 and report["dropped"] == {} and adds_up(report)


def test_data_of_twins_only_holds_nothing_out(tmp_path, toy):
    path = {"source": written(tmp_path, *[chat("Why? " * 9)] * 20)}
    report, _, _ = prepared(toy, path, cleaning={"exact_duplicates": False})
    assert report["held_out_rows"] == 0 and report["rows"] == 20 and report["kept_from_held_out"] == 1


def test_rows_that_share_a_long_instruction_are_compared_with_a_few_others_only(tmp_path, toy, monkeypatch):
    compared = []
    monkeypatch.setattr(similar, "alike", lambda pool, one, other: compared.append((one, other)))
    rows = [chat("Answer as our help desk would. " * 30 + str(number)) for number in range(300)]
    source = {"source": written(tmp_path, *rows)}
    report, _, _ = prepared(toy, source, eval_fraction=0.02, max_length=16384, **clean(near_duplicates=True))
    pairs = similar.CUT.b * (300 * similar.COMPARED_WITH + similar.LOOKED_AT_FOR_A_LEAK * held_out.SPARE * 6)
    assert report["rows"] == 294 and 300 < len(compared) <= pairs < 300 * 299 / 2


def test_two_processes_that_compare_the_same_rows_do_not_disturb_each_other(tmp_path, toy, monkeypatch):
    _, files, _ = prepared(toy, {"source": written(tmp_path, *different(20))}, eval_fraction=0)
    rows, alone = Prepared(files).view(0).rows, similar._signed_batches

    def while_another_begins_and_ends(same):
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 1)
            other.setattr(similar, "_signed_batches", alone)
            similar.bands(same)
        yield from alone(same)

    monkeypatch.setattr(similar, "_signed_batches", while_another_begins_and_ends)
    similar._write(rows)
    assert np.all(similar.bands(rows) != 0)
    assert [found.name for found in home.encoded_folder().iterdir()] == [rows.files.folder.name]


def test_rows_like_those_of_a_held_out_data_set_are_not_trained_on(tmp_path, toy):
    rows = different(30, length=40)
    near = json.loads(json.dumps(rows[2]).replace("river", "brook", 1))
    test = {"source": written(tmp_path, rows[0], near, name="test.jsonl"), "use": "held_out"}
    train = {"source": written(tmp_path, *rows, name="train.jsonl")}
    report, files, _ = prepared(toy, train, test, **clean())
    found = fates(files)
    assert found[0] == found[2] == "nearly the same as a held-out row" and found[30:] == ["held out", "held out"]
    assert report["held_out_rows"] == 2 and report["rows"] == 28 and adds_up(report)
    report, files, _ = prepared(toy, train, test, **clean(leaks=False))
    assert report["rows"] == 30 and fates(files)[30:] == ["held out", "held out"]


def test_held_out_rows_come_from_every_data_set_alike(tmp_path, toy):
    rows = different(130)
    one = {"source": written(tmp_path, *rows[:100], name="one.jsonl")}
    two = {"source": written(tmp_path, *rows[100:], name="two.jsonl")}
    report, files, _ = prepared(toy, one, two, eval_fraction=0.1, **clean())
    assert [source["held_out_rows"] for source in report["sources"]] == [10, 3]
    _, again, _ = prepared(toy, one, two, eval_fraction=0.1, **clean(near_duplicates=True))
    assert np.array_equal(np.load(files.held_out), np.load(again.held_out)) and files != again


def test_rows_that_are_too_long_or_too_short_are_left_out_where_that_is_asked_for(tmp_path, toy):
    rows = [chat("Hi", "No " * 60), chat("Hi", "No."), chat("What then", "This is what then is.")]
    path = {"source": written(tmp_path, *rows)}
    rules = clean(too_long="drop", shortest_answer=6, leaks=False)
    report, files, _ = prepared(toy, path, max_length=64, eval_fraction=0, **rules)
    assert fates(files) == ["longer than max tokens", "answer too short", "trained on"] and adds_up(report)
    with pytest.raises(DataError, match="No row is left to train on"):
        prepared(toy, path, max_length=64, eval_fraction=0, **clean(shortest_answer=500))


@pytest.mark.parametrize("short", ["chosen", "rejected"])
def test_each_answer_of_a_pair_has_to_be_as_long_as_is_asked_for(tmp_path, toy, short):
    row = {"prompt": "Hi", "chosen": "This is what it is.", "rejected": "That is what it was."}
    path = {"source": written(tmp_path, row | {short: "No."}, row | {"prompt": "Well"})}
    _, files, _ = prepared(toy, path, objective="dpo", eval_fraction=0, **clean(shortest_answer=6, leaks=False))
    assert fates(files) == ["answer too short", "trained on"]


def turns(roles: str, calls: str = "") -> list[dict]:
    """`suat`: a system, a user, an assistant and a tool turn; `calls` are the places of turns that call a tool."""
    named = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    call = {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    return [
        {"role": named[role], "content": f"{place}"} | (call if str(place) in calls else {})
        for place, role in enumerate(roles)
    ]


@pytest.mark.parametrize(
    ("roles", "calls", "broken"),
    [
        ("ua", "", False),
        ("suaua", "", False),
        ("ssua", "", False),
        ("uata", "", False),
        ("uaatta", "12", False),
        ("ua", "1", False),
        ("uuaa", "", True),
        ("uua", "", True),
        ("uaa", "", True),
        ("au", "", True),
        ("aua", "", True),
        ("sau", "", True),
        ("uau", "", True),
        ("usa", "", True),
        ("uat", "1", True),
        ("uatua", "1", True),
        ("tua", "", True),
    ],
)
def test_turns_are_in_order_or_broken(roles, calls, broken):
    assert is_broken(turns(roles, calls)) is broken


def test_rows_whose_turns_are_out_of_order_are_left_out_counted_and_shown_unless_they_are_meant(tmp_path, toy):
    broken = [{"messages": turns(roles)} for roles in ("uua", "aua", "uaa", "uau", "usa")]
    source = {"source": written(tmp_path, *broken, *different(20), {"messages": turns("suaua")})}
    report, files, _ = prepared(toy, source, **clean(), eval_fraction=0)
    assert adds_up(report) and report["dropped"] == {Fate.BROKEN_TURNS.words: 5} and report["rows"] == 21
    assert fates(files)[:5] == [Fate.BROKEN_TURNS.words] * 5
    assert [shown["row"] for shown in report["examples"][Fate.BROKEN_TURNS.words]] == [1, 2, 3, 4, 5]
    meant, _, _ = prepared(toy, source, **clean(broken_turns=False), eval_fraction=0)
    assert adds_up(meant) and not meant["dropped"] and meant["rows"] == 26


def test_another_weight_mixes_again_and_encodes_nothing(tmp_path, toy):
    rows = different(60)
    one = {"source": written(tmp_path, *rows[:20], name="one.jsonl"), "weight": 0.5}
    two = {"source": written(tmp_path, *rows[20:], name="two.jsonl"), "weight": 0.5}
    first, files, _ = prepared(toy, one, two, eval_fraction=0)
    assert [source["rows"] for source in first["sources"]] == [30, 30] and adds_up(first)
    assert [source["epochs"] for source in first["sources"]] == [1.5, 0.75] and first["left_out"] == 10
    second, other, _ = prepared(toy, one | {"weight": 0.25}, two | {"weight": 0.75}, eval_fraction=0)
    assert [source["key"] for source in first["sources"]] == [source["key"] for source in second["sources"]]
    assert [source["rows"] for source in second["sources"]] == [15, 45] and files.folder != other.folder
    assert [source["tokens"] for source in first["sources"]] != [source["tokens"] for source in second["sources"]]


@given(st.lists(st.integers(0, 50_000), max_size=60), st.integers(0, 59))
def test_a_run_has_the_same_hash_wherever_it_stands(ids, place):
    whole = runs(np.array(ids, np.int32))
    assert len(whole) == max(0, len(ids) - 2)
    if place < len(whole):
        assert whole[place] == runs(np.array(ids[place : place + 3], np.int32))[0]


def test_every_fate_has_words_and_the_measure_is_the_one_the_help_names():
    assert all(fate.words for fate in Fate) and ALIKE == 0.8
