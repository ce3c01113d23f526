"""Calls of tools: every form that public data has becomes the one that templates read; anything else is a sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.conversation import Conversation, RowProblem
from core.data.formats.recognise import reading_of
from core.data.json_value import DEEPEST
from core.recipe_data import Source

ASKS = {"role": "user", "content": "Is it warm in Bern?"}
WORDS = {"role": "assistant", "content": "It is 21 degrees."}
FUNCTION = {"name": "weather", "arguments": {"city": "Bern"}}
CALL = {"type": "function", "function": FUNCTION}
SCHEMA = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
TOOL = {"type": "function", "function": SCHEMA}
WHOLE = [ASKS, {"role": "assistant", "content": "", "tool_calls": [CALL]}, {"role": "tool", "content": "21"}, WORDS]


def read(row: dict, **source) -> Conversation:
    return reading_of(Source(**source), list(row)).conversation(row)


def calling(calls, **message) -> dict:
    return {"messages": [ASKS, {"role": "assistant", "tool_calls": calls, **message}, *WHOLE[2:]]}


@pytest.mark.parametrize(
    "calls",
    [
        [CALL],
        CALL,
        json.dumps([CALL]),
        [FUNCTION],
        [json.dumps(FUNCTION)],
        [{"function": FUNCTION}],
        [{"type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}],
        [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Bern", "country": None}}}],
        [{"type": None, "id": None, "function": FUNCTION}],
    ],
)
@pytest.mark.parametrize("content", [None, "", " "])
def test_calls_of_every_form_are_read_as_one(calls, content):
    assert read(calling(calls, content=content)).messages == WHOLE


def test_a_call_in_openais_older_form_is_read_as_well():
    call = {
        "role": "assistant",
        "content": "Let me look.",
        "function_call": FUNCTION | {"arguments": '{"city": "Bern"}'},
    }
    answer = {"role": "function", "name": "weather", "content": "21"}
    said = read({"messages": [ASKS, call, answer, WORDS]}).messages
    assert said[1]["tool_calls"] == [CALL] and said[2] == answer | {"role": "tool"}


def test_openai_calls_keep_their_id_and_the_answer_names_it():
    answer = {"role": "tool", "content": "21", "tool_call_id": "call_1", "name": "weather", "latency": 3}
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
    row = {"messages": [ASKS, {"role": "assistant", "content": "Let me look.", "tool_calls": [call]}, answer]}
    said = read(row).messages
    assert said[1] == {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL | {"id": "call_1"}]}
    assert said[2] == {"role": "tool", "content": "21", "tool_call_id": "call_1", "name": "weather"}


def test_a_tool_may_answer_with_nothing_and_a_call_may_need_no_arguments():
    said = read(
        {"messages": [ASKS, {"role": "assistant", "tool_calls": [{"name": "ping"}]}, {"role": "tool"}]}
    ).messages
    assert said[1]["tool_calls"][0]["function"] == {"name": "ping", "arguments": {}} and said[2]["content"] == ""


def test_null_in_json_that_was_text_is_meant():
    said = read(calling([{"name": "weather", "arguments": '{"city": null}'}])).messages
    assert said[1]["tool_calls"][0]["function"]["arguments"] == {"city": None}


@pytest.mark.parametrize("absent", [None, [], "", "[]", "null"])
def test_the_empty_keys_that_parquet_writes_say_nothing(absent):
    row = {"messages": [ASKS | {"tool_calls": absent, "name": None, "tool_call_id": ""}, WORDS], "tools": absent}
    assert read(row) == Conversation([ASKS, WORDS])


@pytest.mark.parametrize("key", ["reasoning_content", "thinking", "reasoning"])
def test_thoughts_are_kept_under_the_name_that_templates_read(key):
    assert read({"messages": [ASKS, WORDS | {key: "Hm."}]}).messages[1] == WORDS | {"reasoning_content": "Hm."}
    assert read({"messages": [ASKS | {key: "Hm."}, WORDS | {key: ["Hm."]}]}).messages == [ASKS, WORDS]


@pytest.mark.parametrize("tools", [[TOOL], [SCHEMA], TOOL, json.dumps([SCHEMA]), json.dumps(TOOL), [json.dumps(TOOL)]])
def test_tools_of_every_form_are_read_as_one(tools):
    assert read({"messages": [ASKS, WORDS], "tools": tools}).tools == [TOOL]
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    assert read({"conversations": turns, "functions": tools}, columns={"tools": "functions"}).tools == [TOOL]


def test_sharegpt_calls_are_calls():
    turns = [("human", ASKS["content"]), ("function_call", json.dumps(FUNCTION)), ("observation", "21")]
    turns += [("gpt", WORDS["content"])]
    row = {"conversations": [{"from": who, "value": value} for who, value in turns]}
    assert read(row).messages == WHOLE


DEEP = "[" * (DEEPEST + 2) + "]" * (DEEPEST + 2)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (calling(7), "`tool_calls` of message 2 in `messages` is a number where a list is needed"),
        (calling("weather(Bern)"), "`tool_calls` of message 2 in `messages` is text but not JSON"),
        (calling("[" * 200_000), "not JSON (nested too deeply or out of range)"),
        (calling("[" + "9" * 10_000 + "]"), "not JSON (nested too deeply or out of range)"),
        (calling(json.loads(DEEP)), f"is nested more than {DEEPEST} levels deep"),
        (calling(DEEP), f"is nested more than {DEEPEST} levels deep"),
        (calling([None]), "tool call 1 of message 2 in `messages` is missing where an object with a name is needed"),
        (calling([{}]), "the name in tool call 1 of message 2 in `messages` is missing"),
        (calling([{"function": None}]), "the name in tool call 1"),
        (calling([{"function": "weather"}]), "is text where an object with a name is needed"),
        (calling([{"function": {"name": ["x"]}}]), "the name in tool call 1 of message 2 in `messages` is a list"),
        (calling([CALL | {"type": "retrieval"}]), "of the type 'retrieval'; only functions are known"),
        (calling([{"name": "w", "arguments": [1]}]), "`arguments` of tool call 1 of message 2 in `messages` is a list"),
        (
            calling([{"name": "w", "arguments": "Bern"}]),
            "`arguments` of tool call 1 of message 2 in `messages` is text but",
        ),
        (calling([{"name": "w", "arguments": {"x": float("nan")}}]), "holds a number that is not finite"),
        (calling([{"name": "w", "arguments": {"x": b"1"}}]), "holds a bytes, which JSON does not know"),
        (calling([{"name": "w", "arguments": {"x": "\ud800"}}]), "holds half a character"),
        (calling([CALL | {"id": 7}]), "the id of tool call 1 of message 2 in `messages` is a number"),
        ({"messages": [ASKS | {"tool_calls": [CALL]}, WORDS]}, "calls a tool, which only an assistant's can do"),
        (
            {"messages": [ASKS, WORDS, {"role": "tool", "content": ["21"]}]},
            "message 3 in `messages` is a list where text",
        ),
        ({"messages": [ASKS, WORDS | {"name": {"x": 1}}]}, "`name` of message 2 in `messages` is an object where text"),
        ({"messages": [ASKS, {"role": "assistant", "content": None}]}, "message 2 in `messages` is missing where text"),
        ({"messages": [ASKS, {"role": json.loads(DEEP)}]}, "has the role [[[[[[[...]]]]]]]"),
        ({"messages": [ASKS, WORDS], "tools": "weather"}, "the column `tools` is text but not JSON"),
        ({"messages": [ASKS, WORDS], "tools": [TOOL, 3]}, "tool 2 of the column `tools` is a number where an object"),
        (
            {"messages": [ASKS, WORDS], "tools": [{"parameters": {}}]},
            "the name in tool 1 of the column `tools` is missing",
        ),
        (
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "function_call", "value": "weather"}]},
            "`tool_calls` of message 2 in `conversations` is text but not JSON",
        ),
    ],
)
def test_what_is_no_call_is_said_in_a_sentence(row, said):
    with pytest.raises(RowProblem) as caught:
        read(row)
    assert said in str(caught.value) and len(str(caught.value)) < 200


LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3)
KEYS = st.sampled_from(["type", "function", "name", "arguments", "id", "x"])
ANYTHING = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))


@given(calls=ANYTHING, tools=ANYTHING, content=ANYTHING, name=ANYTHING)
def test_whatever_stands_there_is_a_conversation_that_json_can_hold_or_a_sentence(calls, tools, content, name):
    row = calling(calls, content=content, name=name) | {"tools": tools}
    try:
        found = read(row)
    except RowProblem as problem:
        assert str(problem)
    else:
        json.dumps([found.messages, found.tools], allow_nan=False).encode()
