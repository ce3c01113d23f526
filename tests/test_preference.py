"""Training on pairs of answers: the very loss and gradient of TRL, near what the model was at its start, resumed exactly."""

import copy
import json
import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from torch.nn.functional import log_softmax
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from core import home
from core.data.encoder import Encoder
from core.data.formats.recognise import reading_of
from core.data.store import EncodedRow
from core.data.tokens import IGNORED
from core.errors import DataError, RecipeError
from core.models.load import Found, load_base
from core.recipe import parse
from core.recipe_data import Source
from core.training import documents, likelihood
from core.training.callbacks import EvaluationCut
from core.training.model import base_of, with_adapter
from core.training.pairs import PairCollator, conversations, halves
from core.training.preference import Likelihoods, dpo, orpo
from core.training.preferences import Preferences
from core.training.reference import Reference
from tests.toy_pairs import toy_pairs, write_pairs
from tests.toy_training import adapter_bytes, curve, new_folder, resume, toy_recipe, train

pytestmark = pytest.mark.process
WAYS = {"at labels": likelihood.at_labels, "at every position": likelihood.at_every_position}
PADDING = 0


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_num_threads(before[0])
    torch.set_float32_matmul_precision(before[1])


def encoded(toy, rows: list[dict], **data) -> list[EncodedRow]:
    recipe = parse({"data": {"max_length": 200} | data, "training": {"objective": "dpo"}})
    encoder = Encoder(AutoTokenizer.from_pretrained(toy), recipe)
    reading = reading_of(Source(), list(rows[0]), rows)
    return encoder.encoded([(number, encoder.rendered(reading.pair(row))) for number, row in enumerate(rows, 1)])


def as_trained(row: EncodedRow, limit: int = 200) -> dict:
    return {"input_ids": row.input_ids, "labels": row.labels, "second": min(row.first, limit)}


def tuned(toy):
    """A model with an adapter that already says something, and the model as it was before."""
    model = with_adapter(load_base(Found(toy, None), torch.float32, "cpu"), toy_recipe(toy, lora={"dropout": 0}))
    reference = Reference(model)
    learn(model)
    return model, reference


def learn(model) -> None:
    """The same of every model."""
    generator = torch.Generator().manual_seed(5)
    for name, weights in model.named_parameters():
        if "lora_B" in name and weights.requires_grad:
            weights.data.normal_(0, 0.2, generator=generator)


def gradients(model) -> dict[str, torch.Tensor]:
    return {name: weights.grad.clone() for name, weights in model.named_parameters() if weights.grad is not None}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side_by_side", [True, False])
def test_dpo_has_the_loss_and_the_gradient_of_trl(toy, tmp_path, side_by_side, way):
    rows = toy_pairs(6)
    model, reference = tuned(toy)
    with reference.in_place():
        theirs = of_trl(copy.deepcopy(model), rows, toy, tmp_path)
    if side_by_side:
        documents.use_in(base_of(model), 200)
    lay = DataCollatorForLanguageModeling(pad_token_id=PADDING, padding_free=side_by_side)
    batch = lay([to_the_last(half) for row in encoded(toy, rows) for half in halves(as_trained(row))])
    assert conversations(batch) == 12
    of = partial(WAYS[way], base_of(model))
    with reference.in_place():
        before = of(batch)
    judged = dpo(of(batch), before, 0.1)
    judged.losses.mean().backward()
    ours = judged.losses.mean().item(), gradients(model)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5) and not math.isclose(ours[0], math.log(2), rel_tol=1e-3)
    assert ours[1].keys() == theirs[1].keys()
    for name, gradient in ours[1].items():
        torch.testing.assert_close(gradient, theirs[1][name], rtol=1e-3, atol=1e-6)


def to_the_last(half: dict) -> dict:
    """TRL learns the line end after the end of a turn as well."""
    return half | {"labels": [*half["labels"][:-1], half["input_ids"][-1]]}


def of_trl(model, rows: list[dict], toy, folder) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradient by TRL's own trainer, from the text on; it stays near the adapter that it is given."""
    say = lambda role, words: [{"role": role, "content": words}]  # noqa: E731
    said = [
        {"prompt": say("user", row["prompt"])} | {name: say("assistant", row[name]) for name in ("chosen", "rejected")}
        for row in rows
    ]
    tokenizer = AutoTokenizer.from_pretrained(toy)
    settings = DPOConfig(str(folder), beta=0.1, use_cpu=True, report_to=[], per_device_train_batch_size=len(rows))
    trainer = DPOTrainer(model, args=settings, train_dataset=Dataset.from_list(said), processing_class=tokenizer)
    batch = next(iter(trainer.get_train_dataloader()))
    learn(model)
    with torch.enable_grad():
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
    return loss.item(), gradients(model)


def test_the_likelihood_of_an_answer_is_the_sum_over_its_tokens(toy):
    model, _ = tuned(toy)
    (row,) = encoded(toy, toy_pairs(1))
    batch = PairCollator(DataCollatorForLanguageModeling(pad_token_id=PADDING))([as_trained(row)])
    found = likelihood.at_labels(base_of(model), batch)
    for half, total, tokens in zip(halves(as_trained(row)), found.sums, found.tokens, strict=True):
        ids, labels = torch.tensor(half["input_ids"]), torch.tensor(half["labels"])[1:]
        logs = log_softmax(base_of(model)(ids[None]).logits[0, :-1].float(), dim=-1)
        learned = labels != IGNORED
        assert total.item() == pytest.approx(logs[learned, labels[learned]].sum().item(), rel=1e-5)
        assert tokens == learned.sum()


def test_the_output_layer_learns_too_where_all_of_the_model_does(toy):
    """Its gradient is made of the same parts; PyTorch's own from whole logits is the measure."""
    model = load_base(Found(toy, None), torch.float32, "cpu")
    batch = PairCollator(DataCollatorForLanguageModeling(pad_token_id=PADDING))(
        [as_trained(row) for row in encoded(toy, toy_pairs(5))]
    )
    found = []
    for of in WAYS.values():
        model.zero_grad()
        orpo(of(model, batch), None, 0.1).losses.mean().backward()
        found.append(gradients(model))
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=1e-3, atol=1e-6)


def test_the_model_as_it_was_is_asked_in_the_number_format_of_the_training_at_every_position_too(toy):
    model, _ = tuned(toy)
    lay = DataCollatorForLanguageModeling(pad_token_id=PADDING)
    batch = lay([half for row in encoded(toy, toy_pairs(2)) for half in halves(as_trained(row))])
    short = partial(torch.autocast, "cpu", torch.bfloat16)
    preferences = Preferences.__new__(Preferences)
    preferences.trainer = SimpleNamespace(
        speed=SimpleNamespace(at_labels=False), accelerator=SimpleNamespace(autocast=short)
    )
    with short():
        expected = likelihood.at_every_position(base_of(model), batch)
    assert preferences._likelihoods(base_of(model), batch).sums.equal(expected.sums)


def test_a_stop_is_heard_while_held_out_pairs_go_through_the_model_as_it_was(toy):
    model, reference = tuned(toy)
    preferences = Preferences.__new__(Preferences)
    whole = SimpleNamespace(unwrap_model=lambda model: model)
    session = SimpleNamespace(micro=SimpleNamespace(batch=1))
    preferences.trainer = SimpleNamespace(accelerator=whole, model=model, session=session)
    preferences.reference, preferences._held_out_before = reference, None
    preferences.name, preferences.beta = "dpo", 0.1
    rows, heard = [as_trained(row) for row in encoded(toy, toy_pairs(2))], []
    with pytest.raises(EvaluationCut):
        preferences.held_out(rows, cut)
    for calls, passes in ((4, 2), (6, 1)):  # as it was, it is asked once
        assert preferences.passes == passes
        preferences.held_out(rows, lambda: heard.append(1))
        assert len(heard) == calls


def cut() -> None:
    raise EvaluationCut


def test_orpo_is_what_its_paper_says():
    sums, tokens = torch.tensor([-6.0, -4.0, -0.9, -9.0]), torch.tensor([3, 2, 3, 3])
    found = orpo(Likelihoods(sums, tokens), None, 0.25)
    for pair, (chosen, rejected) in enumerate([(-2.0, -2.0), (-0.3, -3.0)]):
        odds = [math.exp(mean) / (1 - math.exp(mean)) for mean in (chosen, rejected)]
        ratio = -math.log(1 / (1 + math.exp(-math.log(odds[0] / odds[1]))))
        assert found.losses[pair].item() == pytest.approx(-chosen + 0.25 * ratio, rel=1e-5)
    assert found.preferred.tolist() == [0.5, 1.0]


def test_an_answer_that_is_sure_makes_no_infinite_loss():
    found = orpo(Likelihoods(torch.tensor([0.0, -1.0], requires_grad=True), torch.tensor([1, 1])), None, 0.1)
    found.losses.sum().backward()
    assert found.losses.isfinite().all()


def test_only_what_differs_is_learned(toy):
    asked = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    again = [*asked, {"role": "user", "content": "three"}]
    row = {"chosen": [*again, _says("yes")], "rejected": [*again, _says("no no")]}
    tokenizer = AutoTokenizer.from_pretrained(toy)
    (found,) = encoded(toy, [row])
    learned = [
        tokenizer.decode([label for label in half["labels"] if label != IGNORED]) for half in halves(as_trained(found))
    ]
    assert learned == ["yes<|im_end|>", "no no<|im_end|>"]
    assert (
        tokenizer.decode(found.input_ids)
        == found.text
        == found.text[: found.ends[-1]] + "\n" * (len(found.text) - found.ends[-1])
    )


def _says(words: str) -> dict[str, str]:
    return {"role": "assistant", "content": words}


def test_each_conversation_is_cut_for_itself_and_without_one_answer_there_is_no_pair(toy):
    short = {"prompt": "a", "chosen": "the cat", "rejected": "the " * 90}
    kept, lost = encoded(toy, [short, short | {"prompt": "b " * 90}], max_length=60)
    first, second = halves(as_trained(kept, 60))
    assert len(first["input_ids"]) < 60 == len(second["input_ids"])
    assert kept.lost == kept.length - len(kept.input_ids) - 1 > 0  # all but the line end after the last turn
    assert kept.supervised == sum(label != IGNORED for label in kept.labels)
    assert (lost.supervised, set(lost.labels)) == (0, {IGNORED}) and lost.lost > 90


def test_a_pair_of_which_the_cut_leaves_the_same_twice_teaches_nothing(toy):
    row = {"prompt": "a", "chosen": "the " * 90 + "yes", "rejected": "the " * 90 + "no"}
    (kept,), (lost,) = encoded(toy, [row], max_length=1000), encoded(toy, [row], max_length=60)
    assert kept.supervised and not lost.supervised and set(lost.labels) == {IGNORED}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "Hi", "chosen": "Hello"}, "has no column `rejected`"),
        ({"prompt": "Hi", "chosen": "Hello", "rejected": None}, "the column `rejected` is missing"),
        ({"prompt": "Hi", "chosen": "Hello", "rejected": "Hello"}, "has no answer of its own"),
        (
            {"chosen": "\n\nHuman: Hi\n\nAssistant: A", "rejected": "\n\nHuman: Ho\n\nAssistant: B"},
            "does not answer what",
        ),
        (
            {"chosen": "\n\nHuman: Hi\n\nAssistant: A", "rejected": "\n\nHuman: Hi\n\nAssistant:"},
            "only assistant turns",
        ),
    ],
)
def test_a_pair_that_is_none_says_why(toy, row, said):
    from core.data.conversation import RowProblem

    with pytest.raises(RowProblem) as caught:
        encoded(toy, [row])
    assert said in str(caught.value) or "no assistant turn" in str(caught.value)


def test_both_answers_get_the_system_prompt_of_their_source():
    source = Source(system="Be brief.", columns={"prompt": "question"})
    row = {"question": "Hi", "chosen": "Yes", "rejected": "No"}
    found = reading_of(source, list(row), [row]).pair(row)
    assert [said.messages[0]["content"] for said in (found.chosen, found.rejected)] == ["Be brief."] * 2


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"data": {"packing": "on"}}, "data.packing"),
        ({"data": {"train_on": "all"}}, "data.train_on"),
        ({"training": {"objective": "dpo", "label_smoothing": 0.1}}, "training.label_smoothing"),
        ({"lora": {"method": "pissa"}}, "lora.method"),
    ],
)
def test_what_pairs_cannot_be_combined_with_is_refused(changes, path):
    with pytest.raises(RecipeError, match=path):
        parse({"training": {"objective": "dpo"}} | changes)
    assert parse(changes | {"training": {"objective": "sft"}})


def pair_recipe(toy, folder, objective="dpo", **sections):
    source = {"sources": [{"source": str(write_pairs(folder))}], "max_length": 64, "eval_fraction": 0.2}
    training = {"objective": objective, "learning_rate": 5e-3} | sections.pop("training", {})
    return toy_recipe(toy, data=source, training=training, **sections)


def test_data_without_pairs_is_refused_before_the_model_is_loaded(toy):
    recipe = toy_recipe(toy, training={"objective": "orpo"})
    with pytest.raises(DataError, match=r"starter: training\.objective orpo learns from pairs"):
        train(new_folder(recipe))


@pytest.mark.parametrize("objective", ["dpo", "orpo"])
def test_it_learns_to_prefer_and_a_resume_is_the_same_run(toy, tmp_path, objective):
    recipe = pair_recipe(toy, tmp_path, objective, training={"log_every": 2})
    whole = train(new_folder(recipe))
    losses, preferred = whole.metrics.held_out_loss, [event["preferred"] for event in held_out(whole)]
    assert losses[-1] < losses[0] and preferred[-1] > preferred[0]
    if objective == "dpo":
        assert losses[0] == pytest.approx(math.log(2)) and preferred[0] == 0.5
    resumed = new_folder(recipe, "20260101-000000-again")
    train(resumed, stop_at=7)
    resume(resumed)
    assert curve(resumed) == curve(whole) and adapter_bytes(resumed) == adapter_bytes(whole)
    assert list(resumed.metrics["preferred"]) == list(whole.metrics["preferred"])
    assert held_out(resumed)[-1]["preferred"] == preferred[-1]


def held_out(job) -> list[dict]:
    return [event for event in job.events if event["event"] == "held_out"]


@pytest.mark.parametrize("method", ["full", "dora", "eva", "qlora8"])
def test_every_method_begins_at_the_model_that_it_stays_near(toy, tmp_path, method):
    lora = {"method": "full"} if method == "full" else {"method": method, "rank": 4}
    recipe = pair_recipe(toy, tmp_path, training={"max_steps": 2})
    recipe = parse(recipe.model_dump(mode="json") | {"lora": lora})
    job = train(new_folder(recipe))
    assert job.metrics["loss"][0] == pytest.approx(math.log(2), abs=1e-4)
    assert job.metrics.held_out_loss[0] == pytest.approx(math.log(2), abs=1e-6)


def test_it_stays_near_the_earlier_run_that_it_goes_on_from(toy, tmp_path):
    """Its checkpoints bring along what the earlier run was, which need not be there any more."""
    first = train(new_folder(pair_recipe(toy, tmp_path, "orpo"), "20260101-000000-first"))
    recipe = pair_recipe(toy, tmp_path, start={"start_from": first.id})
    whole = train(new_folder(recipe, "20260101-000000-second"))
    assert whole.metrics.held_out_loss[0] == pytest.approx(math.log(2))
    resumed = new_folder(recipe, "20260101-000000-third")
    train(resumed, stop_at=6)
    first.folder.rename(tmp_path / "gone")
    resume(resumed)
    assert curve(resumed) == curve(whole) and adapter_bytes(resumed) == adapter_bytes(whole)


def test_a_prepared_pair_is_shown_as_two_conversations(toy, tmp_path):
    from core.data.preview import prepared_by

    job = train(new_folder(pair_recipe(toy, tmp_path, training={"max_steps": 1})))
    prepared = prepared_by(job)
    assert prepared.report["pairs"] and prepared.report["rows"] + prepared.report["held_out_rows"] == 40
    shown = prepared.view(0).row(3)
    row = json.loads((tmp_path / "pairs.jsonl").read_text().splitlines()[3])
    for conversation, name in zip(shown.conversations, ("chosen", "rejected"), strict=True):
        assert "".join(token.text for token in conversation.tokens if token.trained) == f"{row[name]}<|im_end|>"
        assert conversation.cut == 0
    assert home.prepared_files(job.prepared_key)
