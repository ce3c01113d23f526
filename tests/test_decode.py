"""The loop that makes tokens says what transformers' own says, for families with every kind of memory; and can be left."""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    MambaConfig,
    PreTrainedConfig,
    Qwen3Config,
)

from core.inference import cpu, decode
from core.inference import engine as engine_file
from core.inference.engine import Engine
from core.inference.text import TextPieces
from core.models.load import Found, load_base
from tests.test_batch import row
from tests.test_inference_parts import Ear, write
from tests.toy_model import make_toy_chatterbox, toy_tokenizer

pytestmark = pytest.mark.process

LONG = "the answer and the question " * 30  # of 150 tokens
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.3}
HEADS = SHAPE | {"intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
FAMILIES: dict[str, tuple[type[PreTrainedConfig], dict]] = {
    "Qwen 3": (Qwen3Config, HEADS),
    "Gemma 2, soft-capped, two kinds of attention": (Gemma2Config, HEADS | {"sliding_window": 40}),
    "Gemma 3, a window shorter than the prompt": (Gemma3TextConfig, HEADS | {"sliding_window": 40}),
    "Bloom, without positions": (BloomConfig, {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}),
    "Mamba, recurrent": (MambaConfig, SHAPE),
}


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    monkeypatch.setattr(cpu, "CORES", 1)
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return make_toy_chatterbox(tmp_path_factory.mktemp("models") / "toy")


def make(family: str, folder: Path) -> Path:
    tokenizer = toy_tokenizer()
    tokenizer.save_pretrained(folder)
    kind, shape = FAMILIES[family]
    torch.manual_seed(3)
    ends = {"eos_token_id": 0, "pad_token_id": 0, "bos_token_id": 1}
    AutoModelForCausalLM.from_config(kind(vocab_size=len(tokenizer), **shape, **ends)).save_pretrained(folder)
    return folder


def exact() -> Engine:
    """In float32, where the way the products are cut does not decide between two tokens."""
    engine = Engine()
    engine.weights.dtype = torch.float32
    return engine


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_says_what_it_says_in_transformers_own_loop(family, tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "PIECE", 64)
    asked = row(make(family, tmp_path / "model"), says=LONG)
    write(exact(), [asked])
    model = load_base(Found(tmp_path / "model", None), torch.float32, "cpu").eval()
    ids = torch.tensor([asked.prompt.ids])
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=30, do_sample=False)
    said = made[0, ids.shape[1] :].tolist()
    assert asked.listener.tokens == len(said) > 1
    assert asked.listener.text == "".join(map(TextPieces(asked.prompt.tokenizer, []).add, said))


def test_prompts_of_several_lengths_are_read_in_pieces_as_they_are_whole(toy, monkeypatch):
    heard = []
    for piece in (64, 10_000):
        monkeypatch.setattr(decode, "PIECE", piece)
        rows = [row(toy, says=LONG), row(toy, says="Hi"), row(toy, says=LONG[:200])]
        write(exact(), rows)
        heard.append([one.listener.text for one in rows])
    assert heard[0] == heard[1] and all(heard[0])


def test_a_reader_who_leaves_while_the_prompt_is_read_ends_it(toy, monkeypatch):
    monkeypatch.setattr(decode, "PIECE", 16)
    monkeypatch.setattr(engine_file, "TURN_S", 0)
    ear = Ear()
    (work,) = Engine().works([row(toy, ear=ear, says=LONG)])
    assert work.turn() and work.turn()
    ear.cancelled.set()
    assert not work.turn() and ear.tokens == 0


def test_works_take_turns_and_no_more_than_a_few_are_begun(toy, monkeypatch):
    monkeypatch.setattr(engine_file, "TURN_S", 0)
    engine = Engine()
    works = [engine.works([row(toy)])[0] for _ in range(engine_file.MOST_OPEN + 2)]
    for _ in range(10):
        going_on = [work.turn() for work in works]
        assert all(going_on)
    tokens = [work.rows[0].listener.tokens for work in works]
    assert len(set(tokens[: engine_file.MOST_OPEN])) == 1 and tokens[0] > 5
    assert tokens[engine_file.MOST_OPEN :] == [0, 0] and len(engine.open) == engine_file.MOST_OPEN
    while engine.open:
        for work in works:
            if not work.rows[0].listener.reason:
                work.turn()
    assert {work.rows[0].listener.text for work in works} == {works[0].rows[0].listener.text}
