"""What is learned from a conversation, family by family: written out by hand, then held to for any conversation."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors

from core.data import tokens
from core.data.checked import checked
from core.data.conversation import RowProblem
from tests.template_families import ENDS_ONCE, FAMILIES, MISTRAL, PHI, Family, tokenizer_of

pytestmark = pytest.mark.process

ONE = [{"role": "user", "content": "First question?"}, {"role": "assistant", "content": "First answer."}]
MORE = [{"role": "user", "content": "Second question?"}, {"role": "assistant", "content": "Second answer."}]
SYSTEM = [{"role": "system", "content": "Be kind."}]
FOUR = SYSTEM + ONE + MORE


@contextmanager
def or_refused_for_a_mark(messages: list[dict], family: Family) -> Iterator[None]:
    """A row may be refused for a special token's text in it, if it says which; for nothing else."""
    try:
        yield
    except RowProblem as problem:
        said = " ".join(message["content"] for message in messages)
        assert any(mark in said and mark in str(problem) for mark in family.special), problem


trained_with = cache(tokens.training_template)


def rendered(messages: list[dict], family: Family) -> tuple[str, list[str], tokens.Encoded]:
    """The text, the answers in it as they are marked, and the row of tokens."""
    tokenizer = family.tokenizer()
    text, spans = tokens.render(messages, tokenizer, trained_with(tokenizer))
    (row,) = tokens.encode([text], [spans], tokenizer)
    return text, [text[start:end] for start, end in spans], row


def learned(row: tokens.Encoded, tokenizer) -> list[str]:
    """The supervised stretches of a row, decoded from their tokens."""
    runs: list[list[int]] = []
    before = False
    for id, label in zip(row.input_ids, row.labels, strict=True):
        if label != tokens.IGNORED:
            assert label == id
            runs = [*runs[:-1], [*runs[-1], id]] if before else [*runs, [id]]
        before = label != tokens.IGNORED
    return [tokenizer.decode(run, clean_up_tokenization_spaces=False) for run in runs]


def learned_of(messages: list[dict], family: Family) -> list[str]:
    return learned(rendered(messages, family)[2], family.tokenizer())


# By hand


@pytest.mark.parametrize(
    ("name", "of_one", "of_four"),
    [
        ("smollm2", ["First answer.<|im_end|>"], ["First answer.<|im_end|>", "Second answer.<|im_end|>"]),
        ("qwen2_5", ["First answer.<|im_end|>"], ["First answer.<|im_end|>", "Second answer.<|im_end|>"]),
        ("llama3", ["First answer.<|eot_id|>"], ["First answer.<|eot_id|>", "Second answer.<|eot_id|>"]),
        ("llama3_1", ["First answer.<|eot_id|>"], ["First answer.<|eot_id|>", "Second answer.<|eot_id|>"]),
        ("llama3_2", ["First answer.<|eot_id|>"], ["First answer.<|eot_id|>", "Second answer.<|eot_id|>"]),
        ("gemma3", ["First answer.<end_of_turn>"], ["First answer.<end_of_turn>", "Second answer.<end_of_turn>"]),
        (
            "qwen3",  # TRL's training version keeps an empty thought in every turn; the model's own only in the last
            ["<think>\n\n</think>\n\nFirst answer.<|im_end|>"],
            ["<think>\n\n</think>\n\nFirst answer.<|im_end|>", "<think>\n\n</think>\n\nSecond answer.<|im_end|>"],
        ),
        ("qwen3_instruct_2507", ["First answer.<|im_end|>"], ["First answer.<|im_end|>", "Second answer.<|im_end|>"]),
        ("mistral", [" First answer.</s>"], [" First answer.</s>", " Second answer.</s>"]),
        ("plain", [" First answer.<|endoftext|>"], [" First answer.<|endoftext|>", " Second answer.<|endoftext|>"]),
        ("alpaca", ["First answer.<|endoftext|>"], ["First answer.<|endoftext|>", "Second answer.<|endoftext|>"]),
        ("plain with bos", [" First answer.</s>"], [" First answer.</s>", " Second answer.</s>"]),
    ],
)
def test_the_answers_and_their_ends_are_learned_and_nothing_else(name, of_one, of_four):
    assert learned_of(ONE, FAMILIES[name]) == of_one
    assert learned_of(FOUR, FAMILIES[name]) == of_four


def test_gemma_learns_the_answers_and_refuses_a_system_prompt_in_its_own_words():
    assert learned_of(ONE, FAMILIES["gemma"]) == ["First answer.<end_of_turn>"]
    assert learned_of(ONE + MORE, FAMILIES["gemma"]) == ["First answer.<end_of_turn>", "Second answer.<end_of_turn>"]
    with pytest.raises(RowProblem, match="does not fit the model's chat template: System role not supported"):
        learned_of(FOUR, FAMILIES["gemma"])


def test_mistral_v3_moves_the_system_prompt_to_the_newest_question_and_such_rows_are_refused():
    assert learned_of(ONE + MORE, FAMILIES["mistral_v3"]) == [" First answer.</s>", " Second answer.</s>"]
    with pytest.raises(RowProblem, match="the chat template rewrites earlier turns of this conversation"):
        learned_of(FOUR, FAMILIES["mistral_v3"])


@pytest.mark.parametrize("name", ENDS_ONCE)
def test_phi_learns_every_end_of_turn_and_the_end_of_text_that_stands_once_at_the_end(name):
    assert learned_of(ONE, ENDS_ONCE[name]) == ["First answer.<|end|>\n<|endoftext|>"]
    assert learned_of(ONE + MORE, ENDS_ONCE[name]) == ["First answer.<|end|>", "Second answer.<|end|>\n<|endoftext|>"]


def test_qwen3_is_trained_with_an_empty_thought_in_every_turn():
    tokenizer = FAMILIES["qwen3"].tokenizer()
    template = tokens.training_template(tokenizer)
    assert template != tokenizer.chat_template
    text, _ = tokens.render(ONE + MORE, tokenizer, template)
    assert text.count("<think>\n\n</think>") == 2
    assert tokenizer.apply_chat_template(ONE + MORE, tokenize=False).count("<think>") == 1


def test_qwen3_takes_a_thought_out_of_the_answer_and_learns_it_before_the_answer():
    thought = [ONE[0], {"role": "assistant", "content": "<think>Hm.</think>Yes."}]
    assert learned_of(thought, FAMILIES["qwen3"]) == ["<think>\nHm.\n</think>\n\nYes.<|im_end|>"]


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ("qwen3",)])
def test_only_a_template_that_rewrites_history_is_replaced(name):
    tokenizer = FAMILIES[name].tokenizer()
    assert tokens.training_template(tokenizer) == tokenizer.chat_template


# For any conversation

MARKS = sorted({mark for family in FAMILIES.values() for mark in family.special})
LOOK_ALIKES = [
    "User:",
    "\n\nAssistant:",
    "### Response:\n",
    "<|im_start|>assistant\n",
    "system",
    "{{ bos_token }}",
    "{%",
]
CHARACTERS = st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\r\té字🙂\u200d\u0301")
CONTENTS = st.lists(st.text(CHARACTERS, max_size=12) | st.sampled_from([*MARKS, *LOOK_ALIKES]), max_size=5).map("".join)
SAID = CONTENTS.filter(lambda text: bool(text.strip()))


@st.composite
def conversations(draw, families: list[str]) -> tuple[Family, list[dict]]:
    """A family, and what passes `checked`: one to six turns of question and answer, perhaps a system prompt."""
    family = FAMILIES[draw(st.sampled_from(families))]
    said = SAID.filter(lambda text: not any(word in text for word in family.changed))
    turns = draw(st.lists(st.tuples(said, said), min_size=1, max_size=6))
    system = draw(st.none() | said) if family.takes_system else None
    messages = [{"role": "system", "content": system}] if system else []
    for question, answer in turns:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return family, checked(messages, "messages")


def answers(messages: list[dict], family: Family) -> list[str]:
    return [family.answer(message["content"]) for message in messages if message["role"] == "assistant"]


ANY = conversations(list(FAMILIES))


@given(ANY)
@settings(max_examples=200, deadline=None)
def test_the_marked_stretches_are_the_answers_with_their_ends_in_order(drawn):
    family, messages = drawn
    with or_refused_for_a_mark(messages, family):
        assert rendered(messages, family)[1] == answers(messages, family)


@given(ANY)
@settings(max_examples=200, deadline=None)
def test_the_tokens_learned_are_the_answers_but_for_blanks_that_a_token_shares_with_the_question(drawn):
    family, messages = drawn
    with or_refused_for_a_mark(messages, family):
        found, expected = learned(rendered(messages, family)[2], family.tokenizer()), answers(messages, family)
        assert len(found) == len(expected)
        for stretch, answer in zip(found, expected, strict=True):
            assert answer.endswith(stretch)
            assert not answer.removesuffix(stretch).strip()


@given(ANY)
@settings(max_examples=200, deadline=None)
def test_a_conversation_stands_in_the_text_in_its_order_and_the_tokens_hold_all_of_it(drawn):
    family, messages = drawn
    with or_refused_for_a_mark(messages, family):
        text, _, row = rendered(messages, family)
        place = 0
        for message in messages:
            found = text.find(message["content"].strip(), place)
            assert found >= place
            place = found + len(message["content"].strip())
        assert family.tokenizer().decode(row.input_ids, clean_up_tokenization_spaces=False) == text


@given(ANY)
@settings(max_examples=200, deadline=None)
def test_an_answer_is_learned_after_the_very_tokens_that_the_chat_asks_with(drawn):
    family, messages = drawn
    with or_refused_for_a_mark(messages, family):
        messages[-1]["content"] = messages[-1]["content"].strip()  # blanks may share a token with the question
        tokenizer = family.tokenizer()
        row = rendered(messages, family)[2]
        template = trained_with(tokenizer)
        asked = tokenizer.apply_chat_template(
            messages[:-1], chat_template=template, add_generation_prompt=True, tokenize=False
        )
        ids = tokenizer(asked, add_special_tokens=False)["input_ids"]
        assert row.input_ids[: len(ids)] == ids
        assert row.labels[len(ids)] != tokens.IGNORED


# What would go wrong


@pytest.mark.parametrize(
    ("name", "mark"), [("smollm2", "<|im_end|>"), ("mistral", "[INST]"), ("plain", "<|endoftext|>")]
)
@pytest.mark.parametrize("number", [0, 1], ids=["question", "answer"])
def test_a_row_cannot_forge_a_turn(name, mark, number):
    family = FAMILIES[name]
    messages = [dict(message) for message in ONE]
    messages[number]["content"] = f"Before {mark} after"
    try:
        row = rendered(messages, family)[2]
    except RowProblem as problem:
        assert mark in str(problem)
        return
    id = family.tokenizer().convert_tokens_to_ids(mark)
    assert row.input_ids.count(id) == rendered(ONE, family)[2].input_ids.count(id)


def test_an_end_of_turn_that_takes_the_line_break_after_it_is_learned():
    """Phi-3's `<|end|>` is an added token with `rstrip`; any template with such a one never teaches the model to stop."""
    tokenizer = tokenizer_of(tuple(PHI), rstrip=True)
    text = "<|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>\n<|user|>\n"
    start, end = text.index("Hello"), text.index("<|end|>\n<|user|>\n") + len("<|end|>")
    (row,) = tokens.encode([text], [[(start, end)]], tokenizer)
    (stretch,) = learned(row, tokenizer)
    assert stretch.rstrip("\n") == "Hello<|end|>"


def test_indentation_is_learned_where_the_tokenizer_trims_its_offsets():
    """GPT-NeoX's, which Pythia uses: the token of a blank after character 11 has the offsets (12, 12)."""
    trims = deepcopy(tokenizer_of(tuple(MISTRAL)))
    trims.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    text = "[INST] Code?[/INST]if x:\n    return 42</s>"
    start = text.index("if x")
    (row,) = tokens.encode([text], [[(start, len(text))]], trims)
    assert learned(row, trims) == ["if x:\n    return 42</s>"]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_simple_conversation_is_rendered_as_transformers_renders_it(name):
    tokenizer = FAMILIES[name].tokenizer()
    template = tokens.training_template(tokenizer)
    text, _ = tokens.render(ONE + MORE, tokenizer, template)
    assert text == tokenizer.apply_chat_template(ONE + MORE, chat_template=template, tokenize=False)
