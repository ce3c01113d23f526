"""Several answers out of one batch: base and adapters side by side, each row as if the others were not there."""

import gc
import weakref
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from core.errors import ModelError
from core.inference import cpu
from core.inference.batch import Row
from core.inference.choices import Target
from core.inference.engine import Engine
from core.inference.prompt import read
from core.inference.protocol import parse
from tests.test_inference_parts import Ear, answer, write
from tests.toy_model import make_toy_adapter, make_toy_chatterbox, make_toy_model, make_toy_shouter, toy_tokenizer

pytestmark = pytest.mark.process

SHOUT = "the" * 30


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    monkeypatch.setattr(cpu, "CORES", 1)
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return make_toy_chatterbox(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def shouter(toy, tmp_path_factory) -> Path:
    return make_toy_shouter(tmp_path_factory.mktemp("adapters") / "shouter", toy)


@pytest.fixture(scope="module")
def adapter(toy, tmp_path_factory) -> Path:
    return make_toy_adapter(tmp_path_factory.mktemp("adapters") / "random", toy)


def row(model: Path, adapter: Path | None = None, ear: Ear | None = None, says: str = "Hi", **asked) -> Row:
    body = {"model": "toy", "messages": [{"role": "user", "content": says}], "temperature": 0, "max_tokens": 30}
    request = parse(body | asked)
    target = Target(str(model), adapter=adapter)
    return Row(request, target, read(target, request.messages), ear or Ear())


def heard(engine: Engine, *rows: Row) -> list[str]:
    write(engine, list(rows))
    return [row.listener.text for row in rows]


def test_the_base_beside_adapters_says_to_the_byte_what_it_says_without_any_in_memory(toy, shouter, adapter):
    alone = heard(Engine(), *(row(toy) for _ in range(4)))
    base, loud, other, again = heard(Engine(), row(toy), row(toy, shouter), row(toy, adapter), row(toy))
    assert [base, again] == [alone[0], alone[3]]
    assert loud == SHOUT and "thethe" not in base and other not in (base, loud)


def test_prompts_of_any_length_answer_side_by_side_as_they_do_alone(tmp_path):
    # In float32, where the shape of a batch does not decide between two tokens.
    toy = make_toy_model(tmp_path / "toy")
    engine = Engine()
    engine.weights.dtype = torch.float32
    words = ["Hi", "a much longer question " * 9, "the answer and the question"]
    assert heard(engine, *(row(toy, says=text) for text in words)) == [
        heard(engine, row(toy, says=text))[0] for text in words
    ]


def test_every_row_has_its_own_settings(toy):
    engine = Engine()
    seeded = {"temperature": 1.5, "seed": 5}
    rows = [row(toy, **seeded), row(toy, **seeded), row(toy, temperature=1.5, seed=6), row(toy, max_tokens=7)]
    one, same, other, short = heard(engine, *rows)
    assert one == same != other
    assert (rows[3].listener.tokens, rows[3].listener.reason) == (7, "length") and heard(engine, row(toy))[
        0
    ].startswith(short)


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"min_p": 1}, {"top_p": 1e-6}, {"temperature": 1e-30}])
def test_a_narrow_choice_is_the_likeliest_token(toy, narrow):
    engine = Engine()
    engine.weights.dtype = torch.float32  # in bf16 two tokens may be equally likely
    assert heard(engine, row(toy, **{"temperature": 1.5} | narrow)) == heard(engine, row(toy))


def test_what_was_said_is_said_less_under_a_penalty(toy, shouter):
    ear = Ear()
    heard(Engine(), row(toy, shouter, ear, repetition_penalty=10))
    assert ear.text.count("the") == 30  # so loud that it stays
    plain, penal = heard(Engine(), row(toy, max_tokens=60), row(toy, max_tokens=60, repetition_penalty=2))
    assert len(set(penal)) > len(set(plain))


def test_a_stop_text_ends_its_row_only(toy, shouter):
    rows = [row(toy, shouter, stop="hethe"), row(toy, shouter)]
    assert heard(Engine(), *rows) == ["t", SHOUT]
    assert [one.listener.reason for one in rows] == ["stop", "length"]


def test_a_row_that_is_cancelled_ends_and_the_others_go_on(toy, shouter):
    leaving, staying = Ear(patience=3), Ear()
    heard(Engine(), row(toy, ear=leaving), row(toy, shouter, staying))
    assert leaving.tokens == 3 and staying.text == SHOUT


def test_a_damaged_adapter_fails_its_row_only(toy, shouter, adapter, tmp_path):
    broken = make_toy_adapter(tmp_path / "broken", toy)
    (broken / "adapter_model.safetensors").write_bytes(b"not weights")
    rows = [row(toy), row(toy, shouter), row(toy, broken), row(toy, tmp_path / "nowhere")]
    base, loud, *nothing = heard(Engine(), *rows)
    assert loud == SHOUT and base and nothing == ["", ""]
    assert "is damaged" in str(rows[2].listener.error) and "no adapter in" in str(rows[3].listener.error)


def test_an_adapter_that_computes_no_numbers_fails_its_row_only(toy, shouter, tmp_path):
    rows = [row(toy), row(toy, make_toy_adapter(tmp_path / "nan", toy, alpha=10**38 * 3)), row(toy, shouter)]
    base, nothing, loud = heard(Engine(), *rows)
    assert (base, nothing, loud) == (heard(Engine(), *(row(toy) for _ in range(3)))[0], "", SHOUT)
    assert "computes no numbers" in str(rows[1].listener.error)


def test_adapters_that_cannot_be_mixed_are_answered_one_after_another(toy, shouter, tmp_path):
    torch.manual_seed(1)
    config = LoraConfig(r=4, lora_alpha=64, use_dora=True, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(toy), config).save_pretrained(tmp_path / "dora")
    base, dora, loud = heard(Engine(), row(toy), row(toy, tmp_path / "dora"), row(toy, shouter))
    assert loud == SHOUT and dora == answer(Engine(), toy, tmp_path / "dora") != base


def test_tokens_that_an_adapter_has_trained_are_its_own_and_never_the_bases(toy, adapter, tmp_path):
    marks = toy_tokenizer().convert_tokens_to_ids(["<|im_start|>", "user"])
    config = LoraConfig(r=2, target_modules=["q_proj"], trainable_token_indices=marks, task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(toy), config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "trainable_tokens_delta" in name:
                weights.add_(3.0)
    model.save_pretrained(tmp_path / "tokens")
    engine = Engine()
    base, plain = heard(engine, row(toy), row(toy, adapter))
    (trained,) = heard(engine, row(toy, tmp_path / "tokens"))
    assert trained not in (base, plain)
    assert heard(engine, row(toy), row(toy, adapter)) == [base, plain]
    assert heard(engine, row(toy, tmp_path / "tokens")) == [trained]


def test_models_on_two_bases_are_answered_one_base_after_the_other(toy, shouter, tmp_path):
    other = make_toy_model(tmp_path / "other", seed=8)
    rows = [row(toy, shouter), row(other), row(toy, shouter)]
    assert heard(Engine(), *rows) == [SHOUT, answer(Engine(), other), SHOUT]


def test_a_model_deleted_while_loaded_goes_on_answering_and_is_missed_when_it_must_be_read_again(tmp_path):
    toy, engine = make_toy_model(tmp_path / "toy"), Engine()
    asked = row(toy)
    before = heard(engine, asked)
    for file in toy.iterdir():
        file.unlink()
    again = Row(asked.ask, asked.target, asked.prompt, Ear())
    assert heard(engine, again) == before
    engine.weights.unload()
    gone = Row(asked.ask, asked.target, asked.prompt, Ear())
    with pytest.raises(ModelError) as missed:
        write(engine, [gone])
    assert str(toy) in str(missed.value)


def test_an_adapter_that_made_room_and_an_unloaded_base_leave_no_weights_behind(toy, tmp_path):
    engine = Engine()
    heard(engine, row(toy, make_toy_adapter(tmp_path / "0", toy, 0)))
    first = next(weight for name, weight in engine.weights.base.named_parameters() if "lora_A" in name)
    base = next(iter(engine.weights.base.parameters()))
    seen, first, base = [weakref.ref(first), weakref.ref(base)], None, None
    for seed in range(1, 5):
        heard(engine, row(toy, make_toy_adapter(tmp_path / str(seed), toy, seed)))
    gc.collect()
    assert seen[0]() is None and seen[1]() is not None
    engine.weights.unload()
    assert seen[1]() is None
