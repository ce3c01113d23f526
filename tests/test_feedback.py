"""What people thought of answers, as data sets: what is kept, taken back, replaced, counted, read and trained on."""

import json
import threading

import pytest

from core import feedback, home
from core.data.formats.recognise import reading_of
from core.data.peek import peek
from core.data.sources import open_source
from core.errors import RecipeError
from core.feedback import Answer, feedback_sets, give, prefer
from core.jobs.preflight import check, located
from core.recipe import parse
from core.recipe_data import Source

ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
GOOD = Answer("a1", ASKED, "Hello.", "run@5")
OTHER = Answer("a2", ASKED, "What?", "starter")
CHAT, PAIRS = "feedback/chat.jsonl", "feedback/chat-pairs.jsonl"


def rows(name: str) -> list[dict]:
    path = home.feedback_file(name)
    return [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []


def read(source: str) -> list:
    """What a preparation makes of a source's rows."""
    found = [row.values for row in open_source(Source(source=source)).rows]
    reading = reading_of(Source(source=source), list(found[0]), found)
    return [reading.conversation(row) for row in found]


def test_a_liked_answer_is_a_conversation_with_its_model_time_and_reason():
    give(GOOD, liked=True, correction=None)
    (row,) = rows("chat")
    assert row["messages"] == [*ASKED, {"role": "assistant", "content": "Hello."}]
    assert (row["kind"], row["model"], row["about"]) == ("liked", "run@5", "a1") and row["time"].endswith("+00:00")
    assert rows("chat-pairs") == []


def test_what_is_not_liked_alone_teaches_nothing():
    give(GOOD, liked=False, correction=None)
    assert rows("chat") == rows("chat-pairs") == [] and feedback_sets() == []


def test_a_corrected_answer_is_learned_instead_and_preferred_to_what_was_said():
    give(GOOD, liked=False, correction="Hello, friend.")
    assert [conversation.messages[-1]["content"] for conversation in read(CHAT)] == ["Hello, friend."]
    (pair,) = rows("chat-pairs")
    assert pair["prompt"] == ASKED and (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) == (
        "Hello, friend.",
        "Hello.",
    )
    (said,) = read(PAIRS)
    assert said.messages == [*ASKED, {"role": "assistant", "content": "Hello, friend."}]


def test_a_changed_mind_replaces_what_was_said_and_leaves_the_rest():
    give(OTHER, liked=True, correction=None)
    give(GOOD, liked=True, correction=None)
    give(GOOD, liked=True, correction="Better.")
    assert [row["kind"] for row in rows("chat")] == ["liked", "corrected"]
    give(GOOD, liked=None, correction=None)
    assert [row["about"] for row in rows("chat")] == ["a2"] and rows("chat-pairs") == []


def test_the_better_of_several_answers_is_preferred_to_each_of_the_others():
    same = Answer("a3", ASKED, "Hello. ", "run@9")
    prefer("q1", GOOD, [OTHER, same])
    (pair,) = rows("chat-pairs")
    assert (pair["model"], pair["over"], pair["kind"]) == ("run@5", "starter", "preferred")
    prefer("q1", None, [])
    assert rows("chat-pairs") == []


def test_a_blank_answer_makes_no_row_that_preparing_would_refuse():
    blank = Answer("a4", ASKED, " \n", "starter")
    give(blank, liked=True, correction=None)
    prefer("q1", GOOD, [blank, OTHER])
    prefer("q2", blank, [OTHER])
    assert [row["over"] for row in rows("chat-pairs")] == ["starter"] and rows("chat") == []
    give(blank, liked=None, correction="Hello.")
    assert len(rows("chat")) == len(rows("chat-pairs")) == 1
    assert peek(Source(source=PAIRS)).bad_pair is None


def test_an_answer_without_its_end_is_no_example_until_it_is_corrected():
    cut = Answer("a5", ASKED, "Because the", "starter", whole=False)
    give(cut, liked=True, correction=None)
    prefer("q1", cut, [OTHER])
    assert rows("chat") == rows("chat-pairs") == []
    prefer("q1", OTHER, [cut])
    give(cut, liked=True, correction="Because the sun sets.")
    assert [row["messages"][-1]["content"] for row in rows("chat")] == ["Because the sun sets."]
    assert [row["rejected"][0]["content"] for row in rows("chat-pairs")] == ["Because the", "Because the"]


def test_earlier_answers_are_read_and_not_learned():
    before = [*ASKED, {"role": "assistant", "content": "Old."}, {"role": "user", "content": "And?"}]
    give(Answer("a4", before, "New.", "starter"), liked=True, correction=None)
    (said,) = read(CHAT)
    assert [message.get("weight") for message in said.messages] == [None, None, 0, None, None]


def test_the_sets_are_counted_by_kind_whatever_else_lies_there():
    give(GOOD, liked=True, correction=None)
    give(OTHER, liked=None, correction="So.")
    home.feedback_file("mine").write_text('{"messages": []}\nnot json\n')
    (home.feedback_folder() / "notes.txt").write_text("x")
    found = {feedback.name: feedback.kinds for feedback in feedback_sets()}
    assert found == {"chat": {"liked": 1, "corrected": 1}, "chat-pairs": {"corrected": 1}, "mine": {"other": 1}}


def test_a_damaged_line_stays_where_it_is():
    give(GOOD, liked=True, correction=None)
    with home.feedback_file("chat").open("a") as file:
        file.write("half a li")
    give(OTHER, liked=True, correction=None)
    give(GOOD, liked=None, correction=None)
    first, second = home.feedback_file("chat").read_text().strip().split("\n")
    assert first == "half a li" and json.loads(second)["about"] == "a2"


def test_many_at_once_lose_nothing():
    answers = [Answer(f"a{n}", ASKED, f"Answer\u2028{n}", "starter") for n in range(20)]
    threads = [threading.Thread(target=give, args=(answer, True, None)) for answer in answers for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row["about"] for row in rows("chat")) == sorted(answer.id for answer in answers)


def test_a_recipe_names_feedback_the_same_from_every_folder(tmp_path, monkeypatch):
    give(GOOD, liked=True, correction=None)
    monkeypatch.chdir(tmp_path)
    recipe = parse({"data": {"sources": [{"source": CHAT}]}})
    check(recipe, "prepare")
    assert located(recipe).data.sources[0].source == CHAT
    by_path = parse({"data": {"sources": [{"source": str(home.feedback_file("chat"))}]}})
    assert located(by_path) == located(recipe)
    assert (peek(recipe.data.sources[0]).layout, peek(Source(source=CHAT)).total) == ("messages", 1)


@pytest.mark.parametrize("source", ["feedback/../../secret.jsonl", "uploads/../jobs/a.jsonl"])
def test_a_source_may_not_leave_its_folder(source):
    with pytest.raises(RecipeError, match="leaves its folder; name a file in it"):
        parse({"data": {"sources": [{"source": source}]}})


def test_feedback_that_is_not_there_is_looked_for_in_the_studios_folder():
    with pytest.raises(Exception, match=f"{home.home()}/feedback/none.jsonl is not there"):
        check(parse({"data": {"sources": [{"source": "feedback/none.jsonl"}]}}), "prepare")


def test_the_titles_are_for_the_files_of_the_folder_alone(tmp_path):
    assert feedback.title_of(home.feedback_file("chat")) == "Feedback from chat"
    assert feedback.title_of(home.feedback_file("mine")) == "mine.jsonl"
    assert feedback.title_of(tmp_path / "chat.jsonl") is None
