"""Tokens and labels, checked against masks written by hand, on the texts of real chat templates (TRL ships them)."""

from pathlib import Path

import pytest
import trl
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from core.data import tokens
from core.data.conversation import RowProblem
from core.errors import DataError
from core.inference.prompt import ends_of

pytestmark = pytest.mark.process

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
SPECIAL = {
    "chatml": ["<|im_start|>", "<|im_end|>"],
    "llama3": ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "gemma": ["<bos>", "<start_of_turn>", "<end_of_turn>"],
}
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

ONE = [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Hello you"}]
TWO = [*ONE, {"role": "user", "content": "Bye now"}, {"role": "assistant", "content": "See you"}]
SYSTEM = [{"role": "system", "content": "Be kind"}]


def tokenizer(family: str, template: str) -> PreTrainedTokenizerFast:
    """A toy that makes a token of every character, with the family's special tokens whole: masks read as text."""
    characters = {chr(code): code - 32 for code in range(32, 127)} | {"\n": 95, "é": 96, "[UNK]": 97}
    toy = Tokenizer(models.WordLevel(characters, unk_token="[UNK]"))
    toy.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    found = PreTrainedTokenizerFast(tokenizer_object=toy, bos_token=SPECIAL[family][0], eos_token=SPECIAL[family][-1])
    found.add_special_tokens({"additional_special_tokens": SPECIAL[family]})
    found.chat_template = template
    return found


def template_of(family: str) -> str:
    return CHATML if family == "chatml" else (TEMPLATES / f"{family}.jinja").read_text()


def learned(messages, family: str, train_on: str = "assistant") -> list[str]:
    """The stretches of text that carry labels, each as one string."""
    toy = tokenizer(family, template_of(family))
    template = tokens.training_template(toy)
    text, spans = tokens.render(messages, toy, template)
    (row,) = tokens.encode([text], [spans], toy, train_on)
    assert all(label in (tokens.IGNORED, id) for id, label in zip(row.input_ids, row.labels, strict=True))
    stretches, before = [], False
    for (start, end), label in zip(row.offsets, row.labels, strict=True):
        if label != tokens.IGNORED:
            stretches = [*stretches[:-1], stretches[-1] + text[start:end]] if before else [*stretches, text[start:end]]
        before = label != tokens.IGNORED
    return stretches


@pytest.mark.parametrize(
    ("family", "messages", "expected"),
    [
        ("chatml", ONE, ["Hello you<|im_end|>"]),
        ("chatml", TWO, ["Hello you<|im_end|>", "See you<|im_end|>"]),
        ("chatml", SYSTEM + TWO, ["Hello you<|im_end|>", "See you<|im_end|>"]),
        ("chatml", [TWO[0], TWO[1] | {"weight": 0}, *TWO[2:]], ["See you<|im_end|>"]),
        ("chatml", [*TWO[:3], TWO[3] | {"weight": 0}], ["Hello you<|im_end|>"]),
        ("llama3", [TWO[0], TWO[1] | {"weight": 0}, *TWO[2:]], ["See you<|eot_id|>"]),
        ("llama3", ONE, ["Hello you<|eot_id|>"]),
        ("llama3", TWO, ["Hello you<|eot_id|>", "See you<|eot_id|>"]),
        ("llama3", SYSTEM + TWO, ["Hello you<|eot_id|>", "See you<|eot_id|>"]),
        ("gemma", ONE, ["Hello you<end_of_turn>"]),
        ("gemma", TWO, ["Hello you<end_of_turn>", "See you<end_of_turn>"]),
    ],
)
def test_the_answers_and_their_end_of_turn_are_learned_and_nothing_else(family, messages, expected):
    assert learned(messages, family) == expected


def test_gemma_has_no_system_turn_and_the_row_is_refused_with_the_templates_reason():
    with pytest.raises(RowProblem, match=r"system turn 1 does not fit the model's chat template: .*[Ss]ystem"):
        learned(SYSTEM + ONE, "gemma")


def test_the_turn_that_a_template_refuses_is_named():
    twice = [*ONE, {"role": "user", "content": "And?"}, {"role": "user", "content": "Well?"}, *ONE]
    with pytest.raises(RowProblem, match="user turn 3 does not fit the model's chat template"):
        learned(twice, "gemma")


def test_a_mark_of_the_models_own_is_named_with_the_turn_that_holds_it():
    forged = [*ONE, {"role": "user", "content": "End<|im_end|>"}, *ONE[1:]]
    with pytest.raises(RowProblem, match=r"user turn 2 holds '<\|im_end\|>'"):
        learned(forged, "chatml")


CALL = {"type": "function", "function": {"name": "find", "arguments": {"words": ["a", "b<|im_end|>"]}}}


@pytest.mark.parametrize(
    ("more", "tools", "who"),
    [
        ({"reasoning_content": "Well<|im_end|>"}, None, "assistant turn 1"),
        ({"tool_calls": [CALL]}, None, "assistant turn 1"),
        ({}, [{"type": "function", "function": {"name": "f", "<|im_end|>": 1}}], "the description of its tools"),
    ],
)
def test_a_mark_is_found_wherever_a_template_may_write_it(more, tools, who):
    toy = tokenizer("chatml", CHATML + "{# tool #}")
    with pytest.raises(RowProblem, match=who + r" holds '<\|im_end\|>'"):
        tokens.render([ONE[0], ONE[1] | more], toy, toy.chat_template, tools)


@pytest.mark.parametrize("family", ["chatml", "llama3", "gemma"])
def test_everything_is_learned_when_asked(family):
    toy = tokenizer(family, template_of(family))
    assert learned(ONE, family, "all") == [toy.apply_chat_template(ONE, tokenize=False)]


def test_an_answer_that_repeats_the_question_is_told_from_it():
    same = [{"role": "user", "content": "Echo"}, {"role": "assistant", "content": "Echo"}]
    assert learned(same + same, "chatml") == ["Echo<|im_end|>", "Echo<|im_end|>"]


def test_an_answer_may_hold_the_marks_of_a_turn_as_text():
    tricky = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "say\n\nassistant\nyes"}]
    assert learned(tricky, "chatml") == ["say\n\nassistant\nyes<|im_end|>"]


def test_the_starter_data_is_learned_as_it_stands(starter_like):
    """Against the real tokenizer of the starter model's family: byte-level BPE, where tokens span words and spaces."""
    text, spans = tokens.render(TWO, starter_like, starter_like.chat_template)
    (row,) = tokens.encode([text], [spans], starter_like)
    kept = [id for id, label in zip(row.input_ids, row.labels, strict=True) if label != tokens.IGNORED]
    assert starter_like.decode(kept) == "Hello you<|im_end|>See you<|im_end|>"


@pytest.fixture
def starter_like(tmp_path):
    from transformers import AutoTokenizer

    from tests.toy_model import make_toy_model

    return AutoTokenizer.from_pretrained(make_toy_model(tmp_path / "toy"))


REWRITES = (
    "{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}{{ '<|im_start|>[old]<|im_end|>' }}"
    "{% else %}{{ '<|im_start|>' + m.role + m.content + '<|im_end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"
)


def test_a_template_that_rewrites_history_is_refused_with_the_reason():
    with pytest.raises(DataError, match="rewrites earlier turns"):
        tokens.training_template(tokenizer("chatml", REWRITES))


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("{{ 1 / 0 }}", "division by zero"),
        ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "recursion"),
        ("{{ messages[0].content.index('zebra') }}", "substring not found"),
        ("{% if %}", "Expected an expression"),
    ],
)
def test_a_template_that_cannot_be_filled_is_one_sentence_with_its_reason(broken, why):
    toy = tokenizer("chatml", broken)
    with pytest.raises(
        DataError, match=rf"cannot write a plain question and its answer: .*{why}.*model\.chat_template"
    ):
        tokens.training_template(toy)
    assert ends_of(toy) == {toy.eos_token_id}


def test_qwen3_rewrites_history_and_is_trained_with_the_version_that_does_not():
    toy = tokenizer("chatml", (TEMPLATES / "qwen3.jinja").read_text())
    template = tokens.training_template(toy)
    assert template != toy.chat_template
    text, spans = tokens.render(TWO, toy, template)
    assert all(text[start:end].endswith(("Hello you<|im_end|>", "See you<|im_end|>")) for start, end in spans)


def test_a_model_without_a_template_is_refused_with_what_to_do():
    toy = tokenizer("chatml", CHATML)
    toy.chat_template = None
    with pytest.raises(DataError, match=r"no chat template.*Instruct"):
        tokens.training_template(toy)
