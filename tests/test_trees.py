"""Rows that are single messages, as OpenAssistant publishes them, become conversations."""

import json

import pytest

from core.data import sources, trees
from core.data.formats.recognise import reading_of
from core.data.peek import peek
from core.errors import DataError
from core.recipe_data import Source


def message(own: str | int, parent: str | float | None, said: str, role: str = "assistant", **more) -> dict:
    return {"message_id": own, "parent_id": parent, "text": said, "role": role, "lang": "en"} | more


POEM = [
    message("a", None, "A poem?", "prompter"),
    message("b", "a", "No.", rank=1.0),
    message("c", "a", "Roses.", rank=0.0),
    message("d", "a", "Spam.", deleted=True),
    message("e", "c", "More!", "prompter"),
    message("f", "e", "Violets."),
    message("g", "f", "And?", "prompter"),
]
OTHER = [message("h", None, "Hi", "prompter"), message("i", "h", "Hello")]


def written(folder, rows: list[dict]) -> Source:
    file = folder / "tree.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return Source(source=str(file))


def said(source: Source) -> list[list[str]]:
    rows = list(sources.open_source(source).rows)
    good = [row.values for row in rows if not row.problem]
    reading = reading_of(source, list(good[0]), good)
    assert reading.layout.NAME == "tree" and reading.confidence == 1
    return [[f"{turn['role']}: {turn['content']}" for turn in reading.conversation(row).messages] for row in good]


@pytest.mark.parametrize("turned", [False, True])
def test_a_conversation_follows_the_best_answers_to_the_last_that_was_given(tmp_path, turned):
    rows = [*reversed(POEM), *OTHER] if turned else [*POEM[:4], *OTHER, *POEM[4:]]
    assert said(written(tmp_path, rows)) == [
        ["user: A poem?", "assistant: Roses.", "user: More!", "assistant: Violets."],
        ["user: Hi", "assistant: Hello"],
    ]


def test_ids_may_be_numbers_also_in_a_column_with_gaps(tmp_path):
    rows = [message(1, None, "Hi", "prompter"), message(2, 1.0, "Hello")]
    assert said(written(tmp_path, rows)) == [["user: Hi", "assistant: Hello"]]


def test_a_conversation_stands_where_its_first_message_does(tmp_path):
    rows = list(sources.open_source(written(tmp_path, [*POEM, *OTHER])).rows)
    assert [row.where for row in rows] == ["tree.jsonl, line 1", "tree.jsonl, line 8"]


def test_an_answer_to_what_is_not_there_is_a_row_with_a_problem(tmp_path):
    rows = list(sources.open_source(written(tmp_path, [*OTHER, message("x", "gone", "Well.")])).rows)
    assert rows[1].where == "tree.jsonl, line 3" and "answers a message that is not there" in rows[1].problem


def test_ids_that_stand_twice_lead_round_no_circle(tmp_path):
    assert said(written(tmp_path, [*OTHER, message("h", "i", "Hi", "prompter"), message("i", "h", "Again.")]))


def test_columns_with_other_names_are_named_in_the_recipe(tmp_path):
    rows = [{"id": row["message_id"], "up": row["parent_id"], "who": row["role"], "said": row["text"]} for row in OTHER]
    columns = {"message_id": "id", "parent_id": "up", "role": "who", "text": "said"}
    source = written(tmp_path, rows).model_copy(update={"columns": columns, "layout": "tree"})
    assert said(source) == [["user: Hi", "assistant: Hello"]]


def test_a_page_sees_the_conversations(tmp_path):
    seen = peek(written(tmp_path, [*POEM, *OTHER]))
    assert (seen.layout, seen.confidence, len(seen.rows), seen.total) == ("tree", 1, 2, None)


def test_more_messages_than_memory_may_bear_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "MOST_MESSAGES", 3)
    with pytest.raises(DataError, match="more than 3 messages in rows of their own"):
        said(written(tmp_path, POEM))


def test_a_text_beside_who_says_it_is_no_plain_text(tmp_path):
    seen = peek(written(tmp_path, [{"text": "Hi", "role": "prompter"}, {"text": "Hello", "role": "assistant"}]))
    assert (
        seen.layout is None and "fit no layout" in seen.problem and "tree needs message_id, parent_id" in seen.problem
    )
