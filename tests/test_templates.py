"""The templates for base models: named in a recipe, written with words the tokenizer knows, saved as text."""

from pathlib import Path

import pytest
from tokenizers import processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from core.data.conversation import RowProblem
from core.data.encoder import Encoder
from core.data.tokens import render, training_template
from core.errors import ModelError
from core.inference.choices import Target, target_of
from core.inference.prompt import read
from core.inference.protocol import Message
from core.models.load import Found, load_tokenizer
from core.models.templates import TEMPLATES, template_text
from core.recipe import Recipe
from tests.toy_model import make_toy_adapter, make_toy_model, toy_tokenizer
from tests.toy_run import make_toy_run

pytestmark = pytest.mark.process

ONE = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
TALK = [{"role": "system", "content": " Be kind. "}, *ONE, {"role": "user", "content": "Bye"}]
PLAIN = "Be kind.\n\nUser: Hi\n\nAssistant: Hello<|im_end|>\n\nUser: Bye\n\nAssistant:"
ALPACA = (
    "Be kind.\n\n### Instruction:\nHi\n\n### Response:\nHello<|im_end|>\n\n### Instruction:\nBye\n\n### Response:\n"
)
ASKED = [Message(role="user", content="Hi")]


def saved(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Found:
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    return Found(folder, None)


@pytest.fixture
def base(tmp_path) -> Path:
    """A toy base model: its folder has no chat template."""
    folder = make_toy_model(tmp_path / "base")
    (folder / "chat_template.jinja").unlink()
    return folder


@pytest.mark.parametrize(("name", "expected"), [("plain", PLAIN), ("alpaca", ALPACA)])
def test_a_conversation_is_written_in_plain_words(base, name, expected):
    tokenizer = load_tokenizer(Found(base, None), name)
    assert tokenizer.apply_chat_template(TALK, tokenize=False, add_generation_prompt=True) == expected


@pytest.mark.parametrize("name", TEMPLATES)
def test_it_is_trained_with_as_it_stands_and_needs_no_new_token(base, name):
    tokenizer = load_tokenizer(Found(base, None), name)
    assert training_template(tokenizer) == tokenizer.chat_template
    assert len(tokenizer) == len(AutoTokenizer.from_pretrained(base))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_turn_it_does_not_know_is_refused_with_the_reason(base, name):
    tokenizer = load_tokenizer(Found(base, None), name)
    with pytest.raises(RowProblem, match="knows system, user and assistant turns, and no tools"):
        render([*ONE, {"role": "tool", "content": "6"}], tokenizer, tokenizer.chat_template)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_text_begins_with_a_token_only_where_the_tokenizer_begins_with_it(tmp_path, name):
    has, adds = toy_tokenizer(), toy_tokenizer()
    has.bos_token = adds.bos_token = "<|im_start|>"
    begin = processors.TemplateProcessing("<|im_start|> $A", special_tokens=[("<|im_start|>", adds.bos_token_id)])
    adds.backend_tokenizer.post_processor = begin
    without, first = (load_tokenizer(saved(tmp_path / str(toy is adds), toy), name) for toy in (has, adds))
    text = without.apply_chat_template(ONE, tokenize=False)
    assert first.apply_chat_template(ONE, tokenize=False) == "<|im_start|>" + text
    assert not text.startswith("<|im_start|>")


def test_rows_are_not_shared_by_two_models_whose_tokenizers_differ_in_the_token_that_ends_a_turn():
    one, other = toy_tokenizer(), toy_tokenizer()
    assert Encoder(one, Recipe()).identity == Encoder(other, Recipe()).identity
    other.eos_token = "<|endoftext|>"
    assert Encoder(one, Recipe()).identity != Encoder(other, Recipe()).identity


def test_a_saved_tokenizer_holds_the_text_and_not_the_name(base, tmp_path):
    load_tokenizer(Found(base, None), "plain").save_pretrained(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").chat_template == template_text("plain")


def test_jinja_text_is_taken_as_it_is_and_an_unknown_name_is_refused(base):
    assert load_tokenizer(Found(base, None), "{{ 1 }}").chat_template == "{{ 1 }}"
    with pytest.raises(
        ModelError, match=r"model\.chat_template: 'chatml' is neither Jinja text nor one of plain, alpaca"
    ):
        load_tokenizer(Found(base, None), "chatml")


def test_a_run_trained_with_a_named_template_can_be_chatted_with_and_so_can_its_base(base):
    make_toy_run("run", str(base), lambda folder: make_toy_adapter(folder, base), chat_template="plain")
    for model in ("run", str(base)):
        prompt = read(target_of(model), ASKED)
        assert prompt.tokenizer.decode(prompt.ids) == "User: Hi\n\nAssistant:"
        assert prompt.tokenizer.eos_token_id in prompt.ends


def test_a_base_with_a_template_of_its_own_does_not_borrow_one(tmp_path):
    toy = make_toy_model(tmp_path / "toy")
    prompt = read(Target(str(toy), spare_template="plain"), ASKED)
    assert prompt.tokenizer.decode(prompt.ids).startswith("<|im_start|>user")
