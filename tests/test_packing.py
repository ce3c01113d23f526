"""Conversations in one row, packed or side by side, learn what they would learn alone: same loss, same gradient (fp32)."""

import json
from dataclasses import dataclass, replace
from itertools import count, pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from core import home
from core.data.store import EncodedRow, RowWriter, batches_of
from core.data.tokens import IGNORED
from core.errors import ModelError
from core.jobs.worker import Worker
from core.models.load import Found, load_base, load_tokenizer
from core.recipe import parse
from core.training import cpu_loss, documents, packing
from core.training.device import Device
from core.training.micro_batch import MicroBatch
from core.training.model import with_adapter
from core.training.resume import Point
from core.training.session import Session, rows_of
from core.training.speed import Choice, Place, choose
from core.training.trainer import Trainer, _without_side_by_side, build
from tests.toy_training import new_folder, toy_recipe, train

pytestmark = pytest.mark.process

# Two rows of three and two conversations, one of them of a single token: its position is 0 like that of the next.
LENGTHS = (30, 20, 13, 40, 1)
MAX_LENGTH = 64
NUMBERS = count()
LOSSES = {"at labels only": True, "TRL's": False}


@dataclass(frozen=True)
class Sample:
    """One conversation: the first third is the question."""

    ids: list[int]

    @property
    def labels(self) -> list[int]:
        asked = len(self.ids) // 3
        return [IGNORED] * asked + self.ids[asked:]

    @property
    def learned(self) -> int:
        """Labels that are predicted: the first token of a conversation never is."""
        return sum(label != IGNORED for label in self.labels[1:])


@pytest.fixture(autouse=True)
def exact_products():
    """Another test may have let the CPU multiply in bf16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture(params=LOSSES.values(), ids=LOSSES)
def with_loss(request, monkeypatch):
    """Each test for the loss of a single CPU process and for TRL's, which a GPU or several processes take."""
    if not request.param:
        monkeypatch.setattr(cpu_loss, "applies_to", lambda base: False)


@pytest.fixture(params=[True, False], ids=["packed", "side by side"])
def packed(request) -> bool:
    return request.param


@pytest.fixture(params=[True, False], ids=["by conversation", "with a mask"])
def with_attention(request, packed, monkeypatch):
    """Each test for the attention of a CPU and for the one that packed rows fall back to."""
    if not request.param and not packed:
        pytest.skip("only packed rows are put together with a mask")
    if not request.param:
        monkeypatch.setattr(documents, "use_in", lambda base, longest: "a test")


def samples(seed: int = 3) -> list[Sample]:
    drawn = torch.Generator().manual_seed(seed)
    return [Sample(torch.randint(3, 250, (length,), generator=drawn).tolist()) for length in LENGTHS]


def trainer_of(toy, rows: list[Sample], packed: bool) -> Trainer:
    """The trainer as a job builds it, all rows in one batch; its adapter is random, so that both halves get a gradient."""
    everything = {
        "data": {"packing": "on" if packed else "auto", "max_length": MAX_LENGTH, "eval_fraction": 0.0},
        "lora": {"dropout": 0},
    }
    recipe = toy_recipe(toy, **everything, training={"eval_every": None, "precision": "fp32"})
    files = prepared(rows, f"set-{next(NUMBERS)}")
    device = Device("cpu", "CPU", "fp32", "a test")
    train, held_out = rows_of(files, recipe)
    worker = Worker(new_folder(recipe, f"20260101-000000-{files.folder.name}"))
    micro = MicroBatch(len(train), 1, recomputes=False)
    session = Session(worker, device, files, train, held_out, "", Point(), micro, lambda: False)
    found = Found(toy, None)
    model = with_adapter(load_base(found, torch.float32, "cpu"), recipe)
    trainer = build(session, model, load_tokenizer(found))
    drawn = torch.Generator().manual_seed(5)
    for weights in model.parameters():
        if weights.requires_grad:
            weights.data.normal_(std=0.1, generator=drawn)
    return trainer


def prepared(rows: list[Sample], name: str) -> home.PreparedFiles:
    """A prepared set of one data set, every row trained on."""
    files, encoded = home.prepared_files(name), home.encoded_files(name)
    files.folder.mkdir(parents=True)
    encoded.folder.mkdir(parents=True)
    with RowWriter(encoded) as writer:
        writer.write(batches_of([encoded_row(row, number) for number, row in enumerate(rows)]))
    np.save(files.train, np.arange(len(rows)))
    np.save(files.held_out, np.array([], np.int64))
    files.report.write_text(json.dumps({"sources": [{"key": name}]}))
    return files


def encoded_row(row: Sample, number: int) -> EncodedRow:
    counts = {"row": number, "length": len(row.ids), "supervised": 0, "lost": 0, "body": 0, "digest": number}
    return EncodedRow(input_ids=row.ids, labels=row.labels, text="", ends=[0] * len(row.ids), **counts)


def batch_of(trainer: Trainer) -> dict:
    """The one batch of an epoch, as the loader gives it to the training step."""
    (batch,) = trainer.get_train_dataloader()
    return batch


def packed_loss(trainer: Trainer, batch: dict, sample: Sample) -> torch.Tensor:
    """The loss of one conversation in a packed batch: only its labels are left."""
    (place,) = places_of(batch, sample)
    labels = torch.full_like(batch["labels"], IGNORED)
    labels[:, place] = batch["labels"][:, place]
    return trainer.compute_loss(trainer.model, batch | {"labels": labels}, num_items_in_batch=sample.learned)


def places_of(batch: dict, sample: Sample) -> list[slice]:
    """Where a conversation lies in a packed batch, which is one long row."""
    ends = batch["cu_seq_lens_q"].tolist()
    places = [slice(start, end) for start, end in pairwise(ends)]
    return [place for place in places if batch["input_ids"][0, place].tolist() == sample.ids]


def alone_loss(trainer: Trainer, sample: Sample) -> torch.Tensor:
    """The loss of one conversation in a row of its own, with the attention that every model has."""
    trainer.model.get_base_model().set_attn_implementation("sdpa")
    batch = trainer.data_collator([{"input_ids": sample.ids, "labels": sample.labels}])
    return trainer.compute_loss(trainer.model, batch, num_items_in_batch=sample.learned)


def gradient_of(trainer: Trainer, loss: torch.Tensor) -> torch.Tensor:
    trainer.model.zero_grad()
    loss.backward()
    return torch.cat([weights.grad.flatten() for weights in trainer.model.parameters() if weights.requires_grad])


def test_the_rows_are_packed_at_all(toy):
    trainer = trainer_of(toy, samples(), packed=True)
    batch = batch_of(trainer)
    assert len(trainer.train_dataset) == 2
    assert batch["input_ids"].shape == (1, sum(LENGTHS))
    assert all(len(places_of(batch, sample)) == 1 for sample in samples())


def test_side_by_side_nothing_is_padded(toy):
    assert batch_of(trainer_of(toy, samples(), packed=False))["input_ids"].shape == (1, sum(LENGTHS))


@pytest.mark.usefixtures("with_loss", "with_attention")
def test_a_conversation_in_a_row_has_the_loss_it_has_alone(toy, packed):
    together, plain = trainer_of(toy, samples(), packed), trainer_of(toy, samples(), packed=False)
    batch = batch_of(together)
    for sample in [sample for sample in samples() if sample.learned]:
        found, expected = packed_loss(together, batch, sample), alone_loss(plain, sample)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("with_loss", "with_attention")
def test_a_batch_in_a_row_gives_the_gradient_of_its_conversations_together(toy, packed):
    trainer, plain = trainer_of(toy, samples(), packed), trainer_of(toy, samples(), packed=False)
    learned = sum(sample.learned for sample in samples())
    together = trainer.compute_loss(trainer.model, batch_of(trainer), num_items_in_batch=learned)
    apart = sum(alone_loss(plain, sample) * sample.learned / learned for sample in samples() if sample.learned)
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)
    found, expected = gradient_of(trainer, together), gradient_of(plain, apart)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("with_loss", "with_attention")
@pytest.mark.parametrize("number", [number for number, length in enumerate(LENGTHS) if length > 1])
def test_a_conversation_in_a_row_does_not_see_the_others(toy, number, packed):
    trainer, watched = trainer_of(toy, samples(), packed), samples()[number]
    batch = batch_of(trainer)
    (own,) = places_of(batch, watched)
    others = torch.full_like(batch["input_ids"], 7)
    others[:, own] = batch["input_ids"][:, own]
    torch.testing.assert_close(
        packed_loss(trainer, batch | {"input_ids": others}, watched), packed_loss(trainer, batch, watched)
    )


def test_the_first_token_of_a_conversation_is_not_learned_from_the_last_of_the_one_before(toy):
    batch = batch_of(trainer_of(toy, samples(), packed=True))
    assert (batch["labels"][0, batch["cu_seq_lens_q"][:-1].long()] == IGNORED).all()


TINY = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 0}


def tiny(kind: str, dtype: torch.dtype, **settings) -> PreTrainedModel:
    """A random model of another architecture, loud enough to be heard."""
    torch.manual_seed(1)
    config = AutoConfig.for_model(kind, **TINY | settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").to(dtype).eval()
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.2)
    return model


HEADS = {"num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 64}
APART = {
    "llama": HEADS,
    "qwen2": HEADS,
    "qwen3": HEADS,
    "phi3": HEADS,
    "mistral": HEADS | {"sliding_window": 4},
    "gemma3_text": HEADS | {"sliding_window": 4},
    "gpt2": {},
    "gpt_neox": {},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", APART)
def test_most_models_keep_packed_conversations_apart(kind, dtype):
    assert packing.keeps_apart(tiny(kind, dtype, **APART[kind]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "phi3", "gemma", "granite", "gpt_neox", "mixtral"])
def test_models_attend_by_conversation(kind, dtype):
    base = tiny(kind, dtype, **APART.get(kind, HEADS))
    before = [documents._logits(base, ids, None) for ids in documents._conversations(base)]
    assert documents.use_in(base, MAX_LENGTH) is None
    assert base.config._attn_implementation == documents.NAME
    for ids, expected in zip(documents._conversations(base), before, strict=True):
        torch.testing.assert_close(documents._logits(base, ids, None), expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("kind", "settings", "why"),
    [
        ("mistral", HEADS | {"sliding_window": 4}, "within 4 tokens only"),
        ("gemma3_text", HEADS | {"sliding_window": 4}, "within 4 tokens only"),
        ("llama", HEADS | {"attn_logit_softcapping": 30.0}, "caps its attention"),
        ("falcon", {}, "attention of its own"),
    ],
)
def test_a_model_that_cannot_attend_by_conversation_is_left_as_it_is(kind, settings, why):
    base = tiny(kind, torch.float32, **settings)
    before = base.config._attn_implementation
    assert why in documents.use_in(base, MAX_LENGTH)
    assert base.config._attn_implementation == before


@pytest.mark.parametrize("block", [1, 7, 64])
def test_attention_by_conversation_is_that_of_pytorch_in_whatever_blocks(monkeypatch, block):
    monkeypatch.setattr(documents, "BLOCK", block)
    drawn = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, heads, 40, 16, generator=drawn).requires_grad_() for heads in (6, 2, 2))
    ends, slope = [0, 1, 18, 40], torch.randn(1, 40, 6, 16, generator=drawn)
    found, _ = documents.attention(torch.nn.Module(), q, k, v, None, cu_seq_lens_q=torch.tensor(ends))
    alone = [
        F.scaled_dot_product_attention(*(one[:, :, a:b] for one in (q, k, v)), is_causal=True, enable_gqa=True)
        for a, b in pairwise(ends)
    ]
    expected = torch.cat(alone, dim=2).transpose(1, 2)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found, (q, k, v), slope), torch.autograd.grad(expected, (q, k, v), slope), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_an_attention_that_is_not_there_is_said():
    """FlashAttention, on a machine without."""
    base = tiny("llama", torch.float32, **HEADS)
    chosen = choose(parse({}), Place("cpu"))
    flash = replace(chosen, attention=Choice("flash_attention_2", "A test."))
    assert "FlashAttention" in _without_side_by_side(base, flash, MAX_LENGTH)
    assert base.config._attn_implementation == "sdpa"


def test_a_window_that_no_conversation_exceeds_changes_nothing():
    assert documents.use_in(tiny("mistral", torch.float32, **HEADS, sliding_window=MAX_LENGTH), MAX_LENGTH) is None


def test_rows_that_cannot_lie_side_by_side_are_padded_and_a_warning_says_so(toy, monkeypatch):
    monkeypatch.setattr(documents, "use_in", lambda base, longest: "it caps its attention scores")
    job = train(new_folder(toy_recipe(toy, training={"max_steps": 1})))
    assert job.result["why"].startswith("Trained 1 step on ")
    assert job.result["status"] == "finished"
    assert job.resolved["speed"]["rows"]["choice"] == "padded"
    (warning,) = [event["text"] for event in job.events if event["event"] == "warning"]
    assert "it caps its attention scores. They are padded" in warning


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["opt", "falcon"])
def test_a_model_that_does_not_is_refused_with_what_to_do(kind, dtype):
    with pytest.raises(ModelError, match=r"data\.packing: some/model does not keep .* apart.* Turn packing off"):
        packing.check(tiny(kind, dtype), "some/model")


def test_a_packed_training_of_such_a_model_does_not_begin(toy, monkeypatch):
    monkeypatch.setattr(packing, "keeps_apart", lambda base: False)
    job = new_folder(toy_recipe(toy, data={"packing": True}))
    with pytest.raises(ModelError, match="Turn packing off"):
        train(job)
