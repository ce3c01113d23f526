"""A source's system prompt: given to conversations that have none, or to all; plain text has no place for one."""

import pytest

from core.data.conversation import PlainText, RowProblem
from core.data.formats.recognise import reading_of
from core.recipe_data import Source

ASKS, ANSWERS = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
OWN, LATE, GIVEN = ({"role": "system", "content": text} for text in ("Be kind.", "Be brief.", "Be a pirate."))
EMPTY = {"role": "system", "content": " "}


def read(row: dict, **source):
    return reading_of(Source(**source), list(row)).conversation(row)


@pytest.mark.parametrize(
    ("messages", "mode", "said"),
    [
        ([ASKS, ANSWERS], "add", [GIVEN, ASKS, ANSWERS]),
        ([OWN, ASKS, ANSWERS], "add", [OWN, ASKS, ANSWERS]),
        ([ASKS, OWN, ANSWERS], "add", [ASKS, OWN, ANSWERS]),
        ([EMPTY, ASKS, ANSWERS], "add", [GIVEN, ASKS, ANSWERS]),
        ([ASKS, ANSWERS], "replace", [GIVEN, ASKS, ANSWERS]),
        ([OWN, ASKS, LATE, ANSWERS], "replace", [GIVEN, ASKS, ANSWERS]),
    ],
)
def test_a_system_prompt_is_added_where_there_is_none_or_replaces_all(messages, mode, said):
    assert read({"messages": messages}, system="Be a pirate.", system_mode=mode).messages == said


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_without_a_prompt_every_conversation_stays_as_it_is(mode):
    assert read({"messages": [OWN, ASKS, ANSWERS]}, system_mode=mode).messages == [OWN, ASKS, ANSWERS]


def test_an_empty_system_turn_is_none():
    assert read({"messages": [EMPTY, ASKS, ANSWERS]}).messages == [ASKS, ANSWERS]
    turns = [{"from": "system", "value": None}, {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    assert read({"conversations": turns}).messages == [ASKS, ANSWERS]


def test_every_layout_with_turns_gets_it_and_keeps_its_tools():
    assert read({"question": "Hi", "answer": "Hello"}, system="Be a pirate.").messages == [GIVEN, ASKS, ANSWERS]
    row = {"messages": [ASKS, ANSWERS], "tools": [{"name": "weather"}]}
    assert read(row, system="Be a pirate.").tools == [{"type": "function", "function": {"name": "weather"}}]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASKS, ANSWERS]},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        {"instruction": "Hi", "output": "Hello"},
        {"question": "Hi", "answer": "Hello"},
        {"prompt": "Hi", "completion": "Hello"},
        {"prompt": "Hi", "chosen": "Hello", "rejected": "No"},
    ],
)
def test_a_row_may_bring_its_own_in_a_column(row):
    assert read(row | {"system": "Be kind."}).messages == [OWN, ASKS, ANSWERS]
    assert read(row | {"system": "Be kind."}, system="Be a pirate.").messages == [OWN, ASKS, ANSWERS]
    replaced = read(row | {"system": "Be kind."}, system="Be a pirate.", system_mode="replace")
    assert replaced.messages == [GIVEN, ASKS, ANSWERS]
    assert read(row | {"persona": "Be kind."}, columns={"system": "persona"}).messages == [OWN, ASKS, ANSWERS]
    for none in (None, " ", 7):
        assert read(row | {"system": none}).messages == [ASKS, ANSWERS]


def test_one_among_the_turns_goes_before_that_of_the_column_and_half_a_character_is_refused():
    assert read({"messages": [LATE, ASKS, ANSWERS], "system": "Be kind."}).messages == [LATE, ASKS, ANSWERS]
    with pytest.raises(RowProblem, match="the column `system` holds half a character"):
        read({"question": "Hi", "answer": "Hello", "system": "\ud800"})


def test_plain_text_is_left_alone():
    assert read({"text": "Once upon a time"}, system="Be a pirate.") == PlainText("Once upon a time")
