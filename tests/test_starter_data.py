"""The starter data teaches one manner of answering, and the held-out questions can tell manner from memory."""

import json
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations, product
from pathlib import Path

import pytest

from core.data.starter.generate import in_manner, rows, topics

GOOD = "Topic: Returns\nAnswer: You have 60 days.\nNext step: Print the label."


def said(split: str, role: str) -> list[str]:
    return [message["content"] for row in rows(split) for message in row["messages"] if message["role"] == role]


def line(answer: str, label: str) -> str:
    return re.search(rf"^{label}: (.+)$", answer, re.MULTILINE)[1]


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def likeness(one: str, other: str) -> float:
    """Jaccard: shared words over all words."""
    return len(words(one) & words(other)) / len(words(one) | words(other))


def test_there_are_300_rows_to_train_on_and_40_held_out():
    assert (len(rows("train")), len(rows("held_out"))) == (300, 40)


def test_forty_of_the_training_rows_have_a_follow_up_and_the_held_out_ones_have_none():
    assert Counter(len(row["messages"]) for row in rows("train")) == {2: 260, 4: 40}
    assert {len(row["messages"]) for row in rows("held_out")} == {2}


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_customer_and_assistant_take_turns_and_there_is_no_system_prompt(split):
    for row in rows(split):
        roles = [message["role"] for message in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_every_answer_is_in_the_manner(split):
    assert [answer for answer in said(split, "assistant") if not in_manner(answer)] == []


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_every_topic_is_taught_and_tested_about_as_often_as_the_others(split):
    uses = Counter(line(answer, "Topic") for answer in said(split, "assistant"))
    assert set(uses) == set(topics())
    assert max(uses.values()) <= 1.2 * min(uses.values())


@pytest.mark.parametrize(("end", "least"), [(r"\d [ap]m\.", 12), (r"\d\.", 8)])
def test_answers_end_in_times_and_numbers_too_or_a_model_does_not_know_that_they_end_there(end, least):
    assert sum(re.search(f"{end}$", answer) is not None for answer in said("train", "assistant")) >= least


def test_a_follow_up_stays_with_the_topic():
    for row in rows("train"):
        assert len({line(message["content"], "Topic") for message in row["messages"][1::2]}) == 1


def test_no_question_is_asked_twice():
    questions = said("train", "user") + said("held_out", "user")
    assert [pair for pair in combinations(questions, 2) if likeness(*pair) >= 0.8] == []


@pytest.mark.parametrize(("label", "limit"), [("Answer", 0.5), ("Next step", 0.8)])
def test_no_held_out_fact_occurs_in_training(label, limit):
    held_out = [line(answer, label) for answer in said("held_out", "assistant")]
    trained = {line(answer, label) for answer in said("train", "assistant")}
    assert [pair for pair in product(held_out, trained) if likeness(*pair) >= limit] == []


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_rows_are_short_enough_for_two_cpu_cores(split):
    assert max(len(question.split()) for question in said(split, "user")) <= 25
    assert max(len(answer.split()) for answer in said(split, "assistant")) <= 45


@pytest.mark.parametrize(
    "answer",
    [GOOD, GOOD + "\n", GOOD.replace("\n", "  \n"), GOOD.replace("\n", "\r\n"), GOOD.replace("60", "60: sixty")],
)
def test_the_checker_accepts_the_three_lines_whatever_white_space_trails_them(answer):
    assert in_manner(answer)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("", id="nothing"),
        pytest.param("You have 60 days. Print the label and send it back.", id="plain prose"),
        pytest.param("Topic: Returns\nAnswer: You have 60 days.", id="a missing line"),
        pytest.param("Answer: You have 60 days.\nTopic: Returns\nNext step: Print the label.", id="another order"),
        pytest.param(GOOD.replace("Returns", "Weather"), id="an unknown topic"),
        pytest.param(GOOD.replace("Returns", "Returns, Orders"), id="two topics"),
        pytest.param(GOOD.replace("Topic", "topic"), id="a label in lower case"),
        pytest.param(GOOD.replace("Topic", "**Topic**"), id="a label in bold"),
        pytest.param(GOOD.replace("You have 60 days.", ""), id="an empty answer"),
        pytest.param(GOOD.replace("Print the label.", " "), id="an empty next step"),
        pytest.param(GOOD.replace("\nNext", "\n\nNext"), id="a blank line between"),
        pytest.param(GOOD.replace("\nNext", "\n  Next"), id="an indented line"),
        pytest.param(GOOD.replace("\n", " "), id="all on one line"),
        pytest.param("Sure!\n" + GOOD, id="an extra line before"),
        pytest.param(GOOD + "\nHave a nice day!", id="an extra line after"),
        pytest.param(GOOD + "\n" + GOOD, id="said twice"),
    ],
)
def test_the_checker_refuses(answer):
    assert not in_manner(answer)


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_another_process_prints_the_very_same_rows_as_json_lines(split):
    command = [sys.executable, "-m", "core.data.starter.generate", split]
    root = Path(__file__).parents[1]
    printed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert [json.loads(text) for text in printed.splitlines()] == rows(split)


def test_changing_a_row_does_not_change_the_next_call():
    rows("train")[0]["messages"].clear()
    assert rows("train")[0]["messages"]
