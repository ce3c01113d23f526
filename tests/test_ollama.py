"""A Modelfile: a chat template in Go's words that gives the same text, the ends of an answer, the system prompt."""

import pytest
from transformers import PreTrainedTokenizerBase

from core.export.ollama import TRIED, files_on_the_hub, modelfile, turns_of
from core.models.templates import template_text
from tests.toy_model import CHATML, toy_tokenizer

# As Llama 3 has it: a system turn always, whether or not one is given.
ALWAYS_A_SYSTEM_TURN = (
    "{% set given = messages[0].role == 'system' %}<|im_start|>system\n\nToday: 26 July\n"
    "{{ messages[0].content if given else '' }}<|im_end|>"
    "{% set rest = messages[1:] if given else messages %}{% for message in rest %}"
    "<|im_start|>{{ message.role }}\n\n{{ message.content | trim }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n\n{% endif %}"
)
FIRST_TURN_ONLY = "{{ messages[0].content }}{% if add_generation_prompt %} >{% endif %}"
COUNTED = "{% for message in messages %}{{ loop.index }} {{ message.role }}: {{ message.content }}\n{% endfor %}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + CHATML


def tokenizer(template: str) -> PreTrainedTokenizerBase:
    found = toy_tokenizer()
    found.chat_template = template
    return found


@pytest.mark.parametrize(
    "template", [CHATML, ALWAYS_A_SYSTEM_TURN, template_text("plain", False), template_text("alpaca", False)]
)
def test_turns_are_written_as_the_chat_template_writes_them(template):
    found = tokenizer(template)
    turns = turns_of(found)
    for tried in (*TRIED, (("user", "An ümlaut\nand a line"), ("assistant", "{ braces }"), ("user", "more"))):
        messages = [{"role": role, "content": words} for role, words in tried]
        wanted = found.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert turns.text(tried) == wanted


@pytest.mark.parametrize(
    "template",
    [
        FIRST_TURN_ONLY,
        COUNTED,
        NO_SYSTEM,
        CHATML.replace("<|im_end|>", '"{{ "{{" }}'),
        CHATML.replace("\n{{ m", "{{ '{' }}{{ m"),
    ],
)
def test_a_template_that_follows_no_such_rule_is_left_out(template):
    assert turns_of(tokenizer(template)) is None
    assert "TEMPLATE" not in modelfile("x.gguf", tokenizer(template), None).replace("# This chat template", "")


def test_the_file_as_ollama_reads_it():
    """The template's text was run by Go's text/template and gave what the chat template gives."""
    assert modelfile("bot-Q8_0.gguf", tokenizer(CHATML), 'Say "Hi".') == (
        "FROM ./bot-Q8_0.gguf\n"
        'TEMPLATE """{{ range $i, $_ := .Messages }}'
        '{{ if eq $i 0 }}{{ if eq .Role "system" }}<|im_start|>system\n{{ else }}<|im_start|>user\n{{ end }}'
        '{{ else }}{{ if eq .Role "assistant" }}<|im_start|>assistant\n{{ else }}<|im_start|>user\n{{ end }}{{ end }}'
        '{{ .Content }}{{ if eq .Role "system" }}<|im_end|>\n{{ else if eq .Role "user" }}<|im_end|>\n'
        '{{ else }}<|im_end|>\n{{ end }}{{ end }}<|im_start|>assistant\n"""\n'
        'SYSTEM """Say "Hi"."""\n'
        'PARAMETER stop "<|im_end|>"\n'
    )
    assert "SYSTEM" not in modelfile("x.gguf", tokenizer(CHATML), 'It ends with "')
    assert "# The system prompt of the training cannot" in modelfile("x.gguf", tokenizer(CHATML), 'It ends with "')
    assert "# The system prompt" not in modelfile("x.gguf", tokenizer(CHATML), None)


def test_on_the_hub_ollama_finds_the_same_in_files_of_their_own():
    found = files_on_the_hub(tokenizer(CHATML), 'It ends with "')
    assert found.keys() == {"template", "system", "params"}
    assert found["template"].decode() == turns_of(tokenizer(CHATML)).template()
    assert (found["system"], found["params"]) == (b'It ends with "', b'{"stop": ["<|im_end|>"]}')
    assert files_on_the_hub(tokenizer(COUNTED), None).keys() == {"params"}
