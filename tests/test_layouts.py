"""Layouts: every shape of row that public data has becomes a conversation, and what does not fit is said in a sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.conversation import LONGEST_TEXT, PlainText, RowProblem
from core.data.formats import template
from core.data.formats.recognise import format_of, reading_of
from core.data.formats.table import FORMATS
from core.errors import DataError
from core.jobs.preflight import check
from core.recipe import parse
from core.recipe_data import Source

SYSTEM, ASKS, ANSWERS = (
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
)


def read(row: dict, **source) -> list[dict]:
    asked = Source(**source)
    return reading_of(asked, list(row)).conversation(row).messages


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        ({"prompt": "Hi", "completion": "Hello"}, "prompt_completion"),
        ({"prompt": [ASKS], "completion": [ANSWERS]}, "prompt_completion"),
        ({"prompt": [ASKS], "completion": "Hello"}, "prompt_completion"),
        ({"prompt": json.dumps([ASKS]), "completion": json.dumps([ANSWERS])}, "prompt_completion"),
        ({"question": "Hi", "answer": "Hello"}, "question_answer"),
        ({"question": "Hi", "context": None, "answer": "Hello"}, "question_answer"),
        ({"question": "Hi", "context": [], "answer": "Hello"}, "question_answer"),
        (
            {"question": "Hi", "answer": "Hello", "prompt": "x", "completion": "y", "messages": [ASKS, ANSWERS]},
            "messages",
        ),
        ({"question": "x", "answer": "y", "prompt": "Hi", "completion": "Hello"}, "prompt_completion"),
    ],
)
def test_a_layout_is_recognised_by_its_columns_in_a_fixed_order(row, layout):
    assert layout == format_of(Source(), list(row)).NAME
    assert read(row) == [ASKS, ANSWERS]


@pytest.mark.parametrize("answer", ["[1] says so", "[1, 2]", "[]", '[{"role": "cook"}]', '["a", {"content": 1}]'])
def test_an_answer_that_is_a_list_of_something_else_stays_as_it_is_written(answer):
    assert read({"prompt": "Hi", "completion": answer})[1]["content"] == answer
    assert read({"prompt": "Hi", "chosen": answer})[1]["content"] == answer


@pytest.mark.parametrize(
    "context",
    ["One.\n\nTwo.", ["One.", "Two."], {"contexts": ["One.", "Two."], "labels": ["A", "B"]}, ["One.", None, "Two."]],
)
def test_the_context_of_a_question_is_a_text_or_several(context):
    row = {"question": "Why?", "context": context, "answer": "Because."}
    assert read(row)[0]["content"] == "Why?\n\nOne.\n\nTwo."
    assert read(row, template="{context}\nQ: {question}")[0]["content"] == "One.\n\nTwo.\nQ: Why?"


PARTS = [{"type": "text", "text": "Hi"}]
SHARED = [{"role": "human", "content": "Hi", "from": None}, {"role": "gpt", "content": "Hello", "from": None}]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": json.dumps([ASKS, ANSWERS])},
        {"conversations": json.dumps([{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}])},
        {"conversations": [ASKS, ANSWERS]},
        {"conversations": SHARED},
        {"messages": [ASKS | {"content": PARTS}, ANSWERS]},
        {"instruction": "Hi", "input": "  ", "output": "Hello"},
        {"instruction": "Hi", "input": [], "output": "Hello"},
    ],
)
def test_layouts_are_read_in_the_other_forms_that_public_data_has(row):
    assert read(row) == [ASKS, ANSWERS]


def test_what_a_turn_of_from_and_value_says_beside_is_kept():
    """SlimOrca and axolotl's data mark so which answers are not learned."""
    shown = {"from": "gpt", "value": "Hello", "weight": 0}
    learned = {"from": "gpt", "value": "Fine", "weight": 1, "thinking": "How am I?"}
    asks = {"from": "human", "value": "Hi", "weight": None}
    first, second = read({"conversations": [asks, shown, asks, learned]})[1::2]
    assert first == ANSWERS | {"weight": 0}
    assert second == {"role": "assistant", "content": "Fine", "reasoning_content": "How am I?"}


def test_the_parts_of_a_content_are_one_text_and_pictures_are_refused():
    two = [*PARTS, {"type": "text", "text": "Ho"}]
    assert read({"messages": [ASKS | {"content": two}, ANSWERS]})[0]["content"] == "Hi\n\nHo"
    with pytest.raises(RowProblem, match="message 1 in `messages` has a part of the kind 'image_url'; only parts"):
        read({"messages": [ASKS | {"content": [*PARTS, {"type": "image_url", "image_url": {}}]}, ANSWERS]})


def test_the_input_of_alpaca_may_be_a_number():
    assert read({"instruction": "Double", "input": 7, "output": 14})[0]["content"] == "Double\n\n7"


@pytest.mark.parametrize("written", [list, json.dumps])
def test_the_history_of_alpaca_comes_before_its_question(written):
    """LLaMA-Factory's: without it, what is learned answers a question that was never understood."""
    row = {"instruction": "And then?", "output": "Home.", "system": "Be kind.", "history": written([["Hi", "Hello"]])}
    assert read(row)[:3] == [SYSTEM, ASKS, ANSWERS]
    assert [turn["content"] for turn in read(row)[3:]] == ["And then?", "Home."]
    assert len(read(row | {"history": written([])})) == len(read(row | {"history": "[1] Rome"})) == 3
    with pytest.raises(RowProblem, match="the column `history` is not a list of pairs"):
        read(row | {"history": written(["Hi"])})


def test_the_system_turn_of_a_prompt_is_kept():
    assert read({"prompt": [SYSTEM, ASKS], "completion": [ANSWERS]}) == [SYSTEM, ASKS, ANSWERS]


def test_a_number_is_an_answer():
    assert read({"question": "How many?", "answer": 7})[1]["content"] == "7"


@pytest.mark.parametrize(
    ("written", "prompt"),
    [
        ("{question}", "Why {x}?"),
        ("{two words}: {question}", "spaced: Why {x}?"),
        ("{{question}} {question}", "{question} Why {x}?"),
        ("Open { {} } {question}", "Open { {} } Why {x}?"),
        ("{a.b}{c[0]}{d!r}{e:>9}", "1234"),
        ("{empty}{number}", "3"),
    ],
)
def test_a_template_puts_columns_in_place_and_does_nothing_else(written, prompt):
    row = {
        "question": "Why {x}?",
        "two words": "spaced",
        "x": "never",
        "a.b": "1",
        "c[0]": "2",
        "d!r": "3",
        "e:>9": "4",
    }
    row |= {"empty": None, "number": 3, "answer": "So"}
    assert read(row, template=written)[0] == {"role": "user", "content": prompt}


@pytest.mark.parametrize(
    "name", ["qestion", "question.__class__", "question[0]", "question!r", "question:>99999999999", "0"]
)
def test_an_unknown_name_in_a_template_is_one_sentence(name):
    with pytest.raises(DataError) as caught:
        read({"question": "Why?", "answer": "So"}, template="{question} {" + name + "}")
    assert f"need `{name}`, and the columns are question, answer" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"layout": "template"}, "the layout template needs a template"),
        ({"layout": "alpaca", "columns": {"inputt": "b"}}, "no layout has a part called `inputt`; there are"),
        ({"layout": "alpaca", "template": "{question}"}, "the layout alpaca does not use a template"),
        ({"template": "no braces {{here}}"}, "names no column"),
    ],
)
def test_a_template_that_cannot_work_is_said_before_anything_starts(source, said):
    with pytest.raises(DataError, match=said):
        check(parse({"data": {"sources": [source]}}), "prepare")
    with pytest.raises(DataError, match=said):
        format_of(Source(**source), ["question", "answer"])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"source": "starter", "file": "a.tsv"}, "starter is not on the Hub"),
        ({"source": "me/rows", "file": "{task}.tsv", "config": "x"}, "nothing stands for {task}"),
        ({"source": "me/rows", "file": "../x.tsv"}, "is none of the repository's"),
        ({"source": "me/rows", "file": "x.py"}, "x.py is not a kind of file that can be read"),
    ],
)
def test_a_file_in_a_repository_that_cannot_be_read_is_said_before_anything_starts(source, said):
    with pytest.raises(DataError) as caught:
        check(parse({"data": {"sources": [source]}}), "prepare")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("row", "source", "said"),
    [
        ({"prompt": [ASKS, ANSWERS], "completion": [ASKS]}, {}, "the column `completion` has no assistant turn"),
        ({"prompt": "Hi", "completion": ""}, {}, "the column `completion` is empty"),
        ({"prompt": "Hi", "completion": ["Hello"]}, {}, "message 2 in `prompt and completion` is not an object"),
        ({"question": "Hi", "context": 3.5, "answer": None}, {}, "the column `answer` is missing"),
        ({"question": "Hi", "answer": float("nan")}, {}, "the column `answer` is missing"),
        (
            {"question": "Hi", "context": {"text": "x"}, "answer": "y"},
            {},
            "`context` is neither text nor a list of texts",
        ),
        ({"question": "Hi", "context": [["x"]], "answer": "y"}, {}, "`context` is neither text nor a list of texts"),
        (
            {"a": None, "b": [], "answer": "y"},
            {"template": "Q: {a} {b}"},
            "every column that the template names is empty (`a`, `b`)",
        ),
        ({"question": "\ud800", "answer": "y"}, {}, "`question` holds half a character"),
        ({"question": "Hi", "answer": "y" * (LONGEST_TEXT + 1)}, {}, "`answer` is longer than 5,000,000 characters"),
    ],
)
def test_a_row_that_does_not_fit_says_why(row, source, said):
    with pytest.raises(RowProblem) as caught:
        read(row, **source)
    assert said in str(caught.value)


def test_columns_that_fit_no_layout_name_every_layout_in_one_sentence():
    with pytest.raises(DataError) as caught:
        format_of(Source(source="a/b"), ["title", "body"])
    said = str(caught.value)
    assert "the columns (title, body) fit no layout" in said
    for name, layout in FORMATS.items():
        needs = "a template and answer" if layout is template else ", ".join(layout.REQUIRED)
        assert f"{name} needs {needs}" in said


@pytest.mark.parametrize("layout", ["auto", "question_answer"])
def test_a_column_that_was_named_and_is_not_there_is_not_left_out_silently(layout):
    with pytest.raises(DataError, match="there is no column `contex`"):
        format_of(Source(layout=layout, columns={"context": "contex"}), ["question", "context", "answer"])


def test_a_mapping_decides_which_layouts_are_meant():
    with pytest.raises(DataError, match="alpaca needs question, anwser"):
        format_of(Source(columns={"instruction": "question", "output": "anwser"}), ["question", "answer"])


@pytest.mark.parametrize("name", FORMATS)
def test_every_layout_explains_each_of_its_columns(name):
    layout = FORMATS[name]
    assert layout.HELP.keys() == layout.COLUMNS.keys() >= set(layout.REQUIRED)
    assert layout.TITLE and all(line.endswith(".") for line in layout.HELP.values())


@given(st.text(st.sampled_from("{}ab.!:[]\n"), min_size=1, max_size=30))
def test_any_template_is_filled_or_refused_in_words(written):
    row = {"a": "1", "b": "{a}", "ab": "2", "answer": "So"}
    try:
        asked, said = read(row, template=written)
    except (DataError, RowProblem) as problem:
        assert str(problem)
    else:
        assert asked["content"].strip() and said["content"] == "So"


LOBBYING = "Is this bill relevant to {company_name}?\n\n{bill_title}\n\n{bill_summary}\n\n{company_description}"
PUBMED = {"context": "context", "answer": "long_answer"}


@pytest.mark.parametrize(
    ("file", "source", "layout"),
    [
        ("finetome_layout.jsonl", {}, "conversations"),
        ("dolly_layout.jsonl", {"columns": {"input": "context", "output": "response"}}, "alpaca"),
        ("alpaca_layout.jsonl", {}, "alpaca"),
        ("gsm8k_train.jsonl", {}, "question_answer"),
        ("gsm8k_test.jsonl", {}, "question_answer"),
        ("pubmedqa_labeled.jsonl", {"columns": PUBMED}, "question_answer"),
        (
            "pubmedqa_labeled.jsonl",
            {"template": "{context}\n\n{question} Yes, no or maybe?", "columns": {"answer": "final_decision"}},
            "template",
        ),
        ("legalbench_hearsay.jsonl", {"columns": {"question": "text"}}, "question_answer"),
        ("legalbench_hearsay.jsonl", {"template": "Is this hearsay?\n\n{text}"}, "template"),
        ("legalbench_corporate_lobbying.jsonl", {"template": LOBBYING}, "template"),
        (
            "legalbench_supply_chain_disclosure_disclosed_training.jsonl",
            {"template": "Does this statement disclose training?\n\n{text}"},
            "template",
        ),
    ],
)
def test_every_row_of_the_real_files_is_read(shared_data, file, source, layout):
    rows = [json.loads(line) for line in (shared_data / file).open(encoding="utf-8")]
    assert layout == format_of(Source(**source), list(rows[0])).NAME
    for row in rows:
        messages = read(row, **source)
        assert messages[-1]["role"] == "assistant" and messages[-1]["content"].strip()


def test_the_real_context_and_answer_are_in_the_conversation(shared_data):
    row = json.loads((shared_data / "pubmedqa_labeled.jsonl").open(encoding="utf-8").readline())
    asked, answered = read(row, columns=PUBMED)
    assert asked["content"].startswith(row["question"])
    assert all(passage in asked["content"] for passage in row["context"]["contexts"])
    assert answered["content"] == row["long_answer"]


GUANACO = "### Human: Hi### Assistant: Hello"
CHATML = (
    "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GUANACO, [ASKS, ANSWERS]),
        ("### Human: Hi\n### Assistant: Hello\n### Human:", [ASKS, ANSWERS]),
        (GUANACO + "### Human: Now explain it to a dog", [ASKS, ANSWERS]),
        ("### System: Be kind.\n\n### User:\nHi\n\n### ASSISTANT:\nHello", [SYSTEM, ASKS, ANSWERS]),
        (CHATML, [SYSTEM, ASKS, ANSWERS]),
        (CHATML + "<|im_start|>assistant\n", [SYSTEM, ASKS, ANSWERS]),
        ("\n\nHuman: Hi\n\nAssistant: Hello", [ASKS, ANSWERS]),
    ],
)
def test_a_text_with_marks_is_a_conversation(text, said):
    assert read({"text": text}, layout="marked_text") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Once upon a time", "does not begin with a mark such as `### Human:`"),
        ("Below: ### Human: Hi### Assistant: Hello", "does not begin with a mark"),
        ("### Human: Hi", "the column `text` has no assistant turn"),
        ("### Human:### Assistant: Hello", "message 1 in `text` is empty"),
        ("#" * 100_000, "does not begin with a mark"),
        ("<|im_start|>" * 100_000, "does not begin with a mark"),
        ("###" + " " * 100_000, "does not begin with a mark"),
        (None, "the column `text` is missing"),
    ],
)
def test_a_text_without_marks_is_no_conversation(text, said):
    with pytest.raises(RowProblem) as caught:
        read({"text": text}, layout="marked_text")
    assert said in str(caught.value)


def recognised(rows: list[dict], **source) -> tuple[str, float]:
    reading = reading_of(Source(**source), list(rows[0]), rows)
    return reading.layout.NAME, reading.confidence


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([{"text": "Once."}] * 4, ("text", 1)),
        ([{"text": "Once."}, {"text": ""}], ("text", 0.5)),
        ([{"text": GUANACO}] * 3 + [{"text": "Once."}], ("marked_text", 0.75)),
        ([{"text": GUANACO}] + [{"text": "Once."}] * 3, ("text", 1)),
        ([{"text": CHATML, "label": "x"}], ("marked_text", 1)),
        ([{"text": "Good.", "answer": "Yes", "index": 1}], ("fields", 1)),
        ([{"question": "Hi", "answer": "Hello"}] * 3 + [{"question": "", "answer": "x"}], ("question_answer", 0.75)),
        ([{"question": None, "note": "Hi", "answer": "Hello"}], ("fields", 1)),
        ([{"messages": None, "prompt": "Hi", "completion": "Hello"}], ("prompt_completion", 1)),
        ([{"messages": [ASKS, ANSWERS], "prompt": "Hi", "completion": "Hello"}], ("messages", 1)),
        ([{"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"}], ("preference", 1)),
        ([{"messages": None}, {"messages": "Hi"}], ("messages", 0)),
    ],
)
def test_with_rows_at_hand_the_layout_that_reads_most_of_them_is_taken(rows, found):
    assert recognised(rows) == found


def test_without_rows_at_hand_the_columns_alone_decide_and_nothing_is_doubted():
    assert format_of(Source(), ["text"]).NAME == "text"
    assert reading_of(Source(), ["question", "answer"]).confidence == 1


def test_the_confidence_is_told_of_a_layout_that_was_asked_for_too():
    assert recognised([{"text": "Once."}, {"text": GUANACO}], layout="marked_text") == ("marked_text", 0.5)


@pytest.mark.parametrize("beside", ["label", "Answer", "target", "completion"])
def test_text_beside_an_answer_is_not_taken_for_plain_text_unless_it_is_asked_for(beside):
    with pytest.raises(DataError, match="fit no layout"):
        format_of(Source(), ["text", beside])
    assert format_of(Source(layout="text"), ["text", beside]).NAME == "text"
    assert format_of(Source(columns={"text": "body"}), ["body", beside]).NAME == "text"


def test_plain_text_is_no_conversation():
    said = reading_of(Source(), ["text"]).conversation({"text": "Once upon a time"})
    assert said == PlainText("Once upon a time")


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"},
        {"prompt": [ASKS], "chosen": [ANSWERS], "rejected": [ANSWERS]},
        {"prompt": "Hi", "chosen": [ANSWERS]},
        {"prompt": "Hi", "chosen": [ASKS, ANSWERS], "rejected": None},
        {"chosen": [ASKS, ANSWERS]},
        {"chosen": json.dumps([ASKS, ANSWERS])},
        {"prompt": json.dumps([ASKS]), "chosen": json.dumps([ANSWERS])},
        {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello"},
    ],
)
def test_of_a_preference_the_chosen_answer_is_learned(row):
    assert format_of(Source(), list(row)).NAME == "preference"
    assert read(row) == [ASKS, ANSWERS]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"chosen": "Hello"}, "the column `chosen` does not begin with a mark"),
        ({"chosen": [ANSWERS]}, "the column `chosen` has only assistant turns"),
        ({"chosen": [], "prompt": "Hi"}, "the column `chosen` is not a list of messages"),
        ({"chosen": None, "prompt": "Hi"}, "the column `chosen` is missing"),
        ({"chosen": "Hello", "prompt": {"x": 1}}, "the column `prompt` is an object"),
    ],
)
def test_a_preference_without_a_prompt_or_an_answer_says_so(row, said):
    with pytest.raises(RowProblem) as caught:
        read(row)
    assert said in str(caught.value)


def test_fields_are_asked_each_under_its_name_and_bookkeeping_is_left_out():
    row = {"index": 3, "user_id": 7, "bill_title": "A bill", "pages": 12, "notes": "", "slice": "x", "answer": "Yes"}
    asked, answered = read(row)
    assert asked["content"] == "Bill title: A bill\n\nPages: 12" and answered["content"] == "Yes"


@pytest.mark.parametrize("names", [["answer"], ["index", "answer", "split"], ["title", "body"]])
def test_fields_need_an_answer_and_something_to_ask(names):
    with pytest.raises(DataError, match="fit no layout"):
        format_of(Source(), names)


def test_a_row_whose_fields_are_empty_says_so():
    with pytest.raises(RowProblem, match=r"every column beside the answer is empty \(`title`, `body`\)"):
        read({"title": None, "body": " ", "answer": "x"})


DECIDED = "{why}\n\nAnswer: {verdict}"


@pytest.mark.parametrize(
    ("row", "source"),
    [
        ({"question": "Hi"}, {}),
        ({"instruction": "Hi"}, {}),
        ({"prompt": "Hi"}, {}),
        ({"prompt": [ASKS]}, {"layout": "prompt_completion"}),
        ({"question": "Hi"}, {"template": "{question}"}),
        ({"question": "Hi", "answer": "never used"}, {}),
    ],
)
def test_an_answer_is_put_together_from_several_columns(row, source):
    asked, answered = read(row | {"why": "Because {x}.", "verdict": True}, answer_template=DECIDED, **source)
    assert asked == ASKS and answered["content"] == "Because {x}.\n\nAnswer: True"


def test_what_an_answer_is_put_together_from_is_not_asked_among_the_fields():
    asked, answered = read({"text": "Hi", "why": "So.", "verdict": "yes"}, answer_template=DECIDED)
    assert asked["content"] == "Text: Hi" and answered["content"] == "So.\n\nAnswer: yes"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            {"answer_template": "{why} {vredict}"},
            "the answer template needs `vredict`, and the columns are question, why",
        ),
        ({"answer_template": "no braces"}, "the answer template names no column"),
        (
            {"answer_template": "{why}", "layout": "messages"},
            "has no answer's column, so it does not use an answer template",
        ),
        ({"answer_template": "{why}", "columns": {"question": "q"}}, "the columns (question, why) fit no layout"),
    ],
)
def test_an_answer_template_that_cannot_work_is_one_sentence(source, said):
    with pytest.raises(DataError) as caught:
        format_of(Source(**source), ["question", "why"])
    assert said in str(caught.value)


def test_a_row_whose_answer_is_empty_throughout_says_so():
    with pytest.raises(RowProblem, match=r"every column that the answer template names is empty \(`why`, `verdict`\)"):
        read({"question": "Hi", "why": None, "verdict": " "}, answer_template=DECIDED)


CELLS = st.none() | st.text(max_size=4) | st.floats() | st.lists(st.none() | st.text(max_size=3) | st.integers())
NAMES = st.sampled_from(["text", "prompt", "chosen", "messages", "question", "answer", "tools", "completion", "Zeile"])


@given(st.lists(st.dictionaries(NAMES, CELLS | st.dictionaries(NAMES, CELLS, max_size=2)), min_size=1, max_size=4))
def test_any_rows_are_read_or_refused_in_words(rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    try:
        reading = reading_of(Source(), names, rows)
    except DataError as problem:
        assert "fit no layout" in str(problem)
    else:
        assert 0 <= reading.confidence <= 1


def test_a_completion_that_is_labelled_a_bad_one_is_not_learned():
    """TRL's unpaired preferences; a label of another kind says nothing of that."""
    row = {"prompt": "Hi", "completion": "Hello"}
    assert read(row | {"label": True}) == read(row | {"label": 0}) == [ASKS, ANSWERS]
    with pytest.raises(RowProblem, match="the column `label` says that this completion is a bad one"):
        read(row | {"label": False})
