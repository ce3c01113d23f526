"""Layers left out: those that change least go, the training goes on from the rest, and the whole base is what it is compared with."""

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock, Timeout
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, SmolLM3Config, SmolLM3ForCausalLM

from core import home
from core.errors import JobError, ModelError, RecipeError
from core.evaluation import sets
from core.evaluation.losses import row_losses
from core.evaluation.report import read as findings_of
from core.export.asked import Export, parts
from core.export.made import made_by
from core.hub import base_card, card
from core.hub.card_contents import Contents
from core.hub.facts import Facts, Licence
from core.inference.adapters import resolved
from core.inference.batch import Row
from core.inference.choices import choices, target_of
from core.inference.engine import Engine
from core.inference.prompt import read
from core.inference.protocol import parse as asked
from core.inference.room import room_for_source
from core.jobs import preflight
from core.jobs.folder import Job
from core.models.begun import left_out_of
from core.models.known_shape import shape_of, trained_shape
from core.models.left_out import LeftOut
from core.models.load import load_tokenizer
from core.models.pruning import fetch_base, shorten
from core.plan.plan import disk_bytes
from core.plan.trainable import trainable_parameters
from core.recipe import parse
from core.training import start
from studio.new_run import continued
from tests.test_evaluation import evaluate
from tests.test_export import exported
from tests.test_inference_parts import Ear, write
from tests.toy_model import make_toy_model
from tests.toy_training import adapter_bytes, curve, new_folder, resume, toy_recipe, train

pytestmark = pytest.mark.usefixtures("one_thread")

IDLE = (2, 3)
SHORT = {"training": {"max_steps": 4, "eval_every": 2}, "checkpoints": {"every_steps": 2}}
IDS = torch.arange(3, 40).unsqueeze(0)


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> Path:
    """A model of six layers, two of which change nothing."""
    folder = make_toy_model(tmp_path_factory.mktemp("model") / "deep", num_hidden_layers=6)
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        for number in IDLE:
            layer = model.model.layers[number]
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    model.save_pretrained(folder)
    return folder


def recipe_without(model: Path, layers: int = 2, **sections):
    return toy_recipe(model, start={"drop_layers": layers}, **sections)


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS, use_cache=False).logits


@pytest.fixture(scope="module")
def healed_here(deep, one_thread, tmp_path_factory) -> Iterator[Job]:
    """A run without three layers, of which two are those that change nothing, in a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
        yield train(new_folder(recipe_without(deep, 3, **SHORT)))


@pytest.fixture
def healed(healed_here, monkeypatch) -> Job:
    monkeypatch.setenv("STUDIO_HOME", str(healed_here.folder.parents[1]))
    return healed_here


def loss_of_whole(model: Path, run: Job) -> float:
    """The mean loss of a model, as it is, on the rows that a run has held out."""
    rows = sets.held_out(home.prepared_files(run.prepared_key), 8).rows
    losses = row_losses(AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), rows, 8)
    return losses[:, 0].sum() / losses[:, 1].sum()


def test_the_layers_that_change_nothing_are_those_that_go(deep):
    found = fetch_base(str(deep), left_out=LeftOut(2))
    assert found.left_out == LeftOut(2, first=2, of=6)
    assert (found.original.folder, found.folder.parent) == (deep, home.models_folder())
    smaller, whole = (AutoModelForCausalLM.from_pretrained(folder) for folder in (found.folder, deep))
    assert (len(smaller.model.layers), smaller.config.num_hidden_layers, smaller.dtype) == (4, 4, whole.dtype)
    assert torch.equal(logits(smaller), logits(whole))
    assert (found.folder / "tokenizer.json").read_bytes() == (deep / "tokenizer.json").read_bytes()
    assert AutoTokenizer.from_pretrained(found.folder).chat_template
    turned = json.loads(next(home.models_folder().glob("*-distances.json")).read_text())["distances"]
    assert turned[1][2] == 0 < min(turned[1][:2] + turned[1][3:])
    assert len(turned[1]) == 4  # no block reaches into the last layer


def test_it_is_made_once_and_a_half_made_one_is_never_taken(deep, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("core.models.pruning.shorten", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetch_base(str(deep), left_out=LeftOut(1, first=2))
    assert not list(home.models_folder().glob("*/config.json"))
    first = fetch_base(str(deep), left_out=LeftOut(1))
    monkeypatch.setattr("core.models.layer_distance._measured", None)  # would be called
    monkeypatch.setattr("core.models.pruning._write", None)
    assert fetch_base(str(deep), left_out=LeftOut(1)) == first
    assert not [path.name for path in home.models_folder().iterdir() if path.name.startswith(".deep")]


def test_what_a_killed_process_has_half_written_goes_when_the_next_model_is_made(deep, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("core.models.pruning.write_whole", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr("core.files.shutil.rmtree", lambda *_, **__: None)  # nor does a killed one clean up
        with pytest.raises(KeyboardInterrupt):
            fetch_base(str(deep), left_out=LeftOut(1, first=2))
    assert len(list(home.models_folder().glob(".*/config.json"))) == 1
    fetch_base(str(deep), left_out=LeftOut(2, first=1))
    assert not list(home.models_folder().glob(".*/config.json"))


def test_what_is_there_is_had_at_once_while_another_model_is_made(deep, monkeypatch):
    made = fetch_base(str(deep), left_out=LeftOut(1))
    monkeypatch.setattr("core.models.pruning.FileLock", partial(FileLock, timeout=0))
    with FileLock(home.pruning_lock()):
        assert fetch_base(str(deep), left_out=made.left_out) == made
        with pytest.raises(Timeout):
            fetch_base(str(deep), left_out=LeftOut(1, first=0))


def copied(model: Path, folder: Path) -> Path:
    return shutil.copytree(model, folder / "copied")


def test_a_template_that_changes_afterwards_is_the_one_that_is_trained_with(deep, tmp_path):
    model = copied(deep, tmp_path)
    fetch_base(str(model), left_out=LeftOut(2))
    template = model / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_start|>assistant", "<|im_start|>model"))
    previewed, trained = (load_tokenizer(fetch_base(str(model), left_out=LeftOut(2), weights=w)) for w in (False, True))
    assert trained.chat_template == previewed.chat_template == template.read_text()


@pytest.mark.parametrize("left_out", [LeftOut(2), LeftOut(2, first=2)], ids=["compared", "written"])
def test_a_memory_that_is_too_small_for_the_whole_model_is_said(deep, monkeypatch, left_out):
    def too_small(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr("core.models.whole_model.load_base", too_small)
    with pytest.raises(ModelError, match=r"it does not fit into the memory here\. Close other programs"):
        fetch_base(str(deep), left_out=left_out)
    monkeypatch.setattr("core.models.whole_model.machine", lambda _: SimpleNamespace(ram_free_bytes=400_000))
    with pytest.raises(ModelError, match=r"which takes 0\.0 GB of memory, and 0\.0 GB are free"):
        fetch_base(str(deep), left_out=left_out)


def test_a_disk_that_is_too_full_for_the_smaller_model_is_said(deep, monkeypatch):
    parameters = shape_of(str(deep)).without(2).parameters
    disk = SimpleNamespace(disk_free_bytes=2 * parameters - 1)
    monkeypatch.setattr("core.export.size.machine", lambda _: disk)
    monkeypatch.setattr("core.export.size.SPARE_BYTES", 0)
    with pytest.raises(JobError, match=r"free, and the model without 2 of its 6 layers \(2 to 3\) needs .* Make space"):
        fetch_base(str(deep), left_out=LeftOut(2))
    disk.disk_free_bytes += 1
    assert fetch_base(str(deep), left_out=LeftOut(2)).folder.exists()


def test_a_run_that_goes_on_needs_no_second_room_for_the_smaller_model(deep, monkeypatch):
    job = new_folder(recipe_without(deep))
    disk = SimpleNamespace(disk_free_bytes=disk_bytes(job.recipe) - 2 * trained_shape(job.recipe.model).parameters)
    monkeypatch.setattr("core.jobs.preflight.machine", lambda _: disk)
    monkeypatch.setattr("core.jobs.preflight.LEAST_FREE_BYTES", 0)
    for said in ("", "left_out: {count: 2, first: 1, of: 6}"):
        job.files.resolved.write_text(said)
        with pytest.raises(JobError, match="The disk has"):
            preflight.check_again(job)
    fetch_base(str(deep), left_out=LeftOut(2, first=1))
    preflight.check_again(job)


def test_the_licence_of_the_base_is_that_of_what_is_left_of_it(deep, tmp_path):
    model = copied(deep, tmp_path)
    (model / "README.md").write_text("---\nlicense: mit\n---\n")
    assert base_card.licence(str(model), fetch_base(str(model), left_out=LeftOut(2))) == Licence("mit")


def test_what_a_configuration_says_of_each_layer_is_shortened_too(tmp_path):
    kinds = ["full_attention", "sliding_attention", "sliding_attention", "full_attention", "full_attention"]
    size = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = SmolLM3Config(
        vocab_size=64, num_hidden_layers=5, layer_types=kinds, no_rope_layers=[1, 0, 1, 1, 0], sliding_window=8,
        use_sliding_window=True, pad_token_id=0, **size,
    )  # fmt: skip
    model = SmolLM3ForCausalLM(config)
    shorten(model, LeftOut(2, first=1, of=5))
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert (again.config.layer_types, again.config.no_rope_layers) == ([kinds[0], *kinds[3:]], [1, 1, 0])
    assert torch.equal(logits(again), logits(model))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_hidden_layers": 3}, "this model has 3 layers, so at most 1 can be left out. Lower it to 1."),
        ({"quantization_config": {}}, "this model comes quantised"),
        ({"model_type": "mixtral"}, "how layers are left out of a model of the kind mixtral is not known here"),
    ],
)
def test_what_cannot_be_left_out_is_said_before_the_start_and_by_the_job(deep, tmp_path, change, said):
    folder = copied(deep, tmp_path)
    config = json.loads((deep / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=said):
        preflight.check(recipe_without(folder))
    with pytest.raises(ModelError, match=said):
        fetch_base(str(folder), left_out=LeftOut(2))


def test_code_of_a_models_own_and_another_number_of_layers_below_an_adapter_are_refused(deep):
    code = {"source": "a/b", "trust_remote_code": True, "revision": "0" * 40, "drop_layers": 1}
    with pytest.raises(RecipeError, match="a model with code of its own stays whole"):
        parse({"model": code})
    earlier = new_folder(recipe_without(deep))
    earlier.files.adapter.mkdir()
    (earlier.files.adapter / "adapter_config.json").write_text("{}")
    wanted = toy_recipe(deep, start={"start_from": earlier.id})
    assert "was trained with 2 layers left out, and this recipe asks for 0. Set it to 2." in start.problems(wanted)[0]
    assert not any("drop_layers" in problem for problem in start.problems(continued(earlier)))
    earlier.files.resolved.write_text("left_out: {count: 2, first: 1, of: 6}")
    assert left_out_of(new_folder(continued(earlier), "20260101-000001-later")) == LeftOut(2, first=1, of=6)


def test_an_adapter_given_by_its_folder_goes_on_the_layers_it_was_trained_on_alone(deep, tmp_path):
    """On few layers it would be loaded, and learn on, beside the wrong ones."""
    earlier = new_folder(recipe_without(deep, lora={"last_layer": 2}))
    earlier.files.resolved.write_text("left_out: {count: 2, first: 1, of: 6}")
    named = json.dumps({"base_model_name_or_path": f"{deep} without 2 of its layers"})
    for folder in (earlier.files.adapter, tmp_path / "copied"):
        folder.mkdir()
        (folder / "adapter_config.json").write_text(named)
        (folder / "adapter_model.safetensors").touch()
        wanted = toy_recipe(deep, start={"start_from": str(folder)}, lora={"last_layer": 2})
        assert "was trained with 2 layers left out, and this recipe asks for 0." in start.problems(wanted)[0]
        with pytest.raises(ModelError, match=r"deep without 2 of its layers alone, .* Choose its run, or give"):
            resolved(target_of(str(folder)))
    later = toy_recipe(deep, start={"drop_layers": 2, "start_from": str(earlier.files.adapter)})
    assert left_out_of(new_folder(later, "20260101-000001-later")) == LeftOut(2, first=1, of=6)


@pytest.mark.process
def test_a_resumed_run_is_the_same_run_also_where_the_smaller_model_has_to_be_made_again(deep, healed):
    assert healed.result["status"] == "finished"
    kept = left_out_of(healed)
    assert (kept.count, kept.of) == (3, 6) and set(IDLE) < set(kept.numbers)
    assert [event["layers"] for event in healed.events if event["event"] == "left_out"] == [kept.words]
    assert f"with {kept.words} left out and nothing learned yet, to " in healed.result["why"]
    again = train(new_folder(recipe_without(deep, 3, **SHORT), "20260101-000001-again"), stop_at=2)
    assert again.result["status"] == "stopped"
    made = home.pruned_folder(next(home.models_folder().glob("*-distances.json")).name[:-15], kept.first, 3)
    shutil.rmtree(made)
    # Another machine may find another block, which this adapter would not fit.
    distances = next(home.models_folder().glob("*-distances.json"))
    before = distances.read_text()
    distances.write_text(json.dumps({"distances": [[]] * 2 + [[float(first == kept.first) for first in range(3)]]}))
    assert fetch_base(str(deep), left_out=LeftOut(3)).left_out.first != kept.first
    resume(again)
    distances.write_text(before)
    assert curve(again) == curve(healed)
    assert adapter_bytes(again) == adapter_bytes(healed)


@pytest.mark.process
def test_it_is_compared_with_the_whole_base_and_the_card_says_so(deep, healed):
    found = findings_of(evaluate(healed, longest_answer=2, most_rows=8).files)
    assert found.held_out.base.mean == pytest.approx(loss_of_whole(deep, healed), rel=1e-3)
    assert found.held_out.base.mean != pytest.approx(healed.metrics.held_out_at[0], rel=1e-3)
    told = card.text(Facts.of(healed), Contents(precision="bf16"))
    assert "The base is the whole one, with all its layers." in told


@pytest.mark.process
def test_it_goes_elsewhere_merged_and_only_so(healed):
    kept = left_out_of(healed)
    assert parts(Export(run=healed.id), healed.recipe) == ("merged",)
    with pytest.raises(JobError, match=r"without 3 of its layers alone, and such a model others do not have\. Choose"):
        parts(Export(run=healed.id, what="adapter"), healed.recipe)
    folder = made_by(exported(healed, precision="fp32")).model
    merged = AutoModelForCausalLM.from_pretrained(folder)
    below = AutoModelForCausalLM.from_pretrained(fetch_base(healed.recipe.model.source, None, kept).folder)
    adapted = PeftModel.from_pretrained(below.float(), healed.files.adapter)
    assert merged.config.num_hidden_layers == 3
    assert torch.allclose(logits(merged), logits(adapted), atol=1e-3)
    told = (folder / "README.md").read_text()
    assert f"deep without {kept.words}, with a LoRA adapter merged into it" in told
    own = (healed.files.adapter / "README.md").read_text()
    assert "Export it merged to load it elsewhere." in own and "from_pretrained" not in own
    assert "Before is its base without those layers" in own
    named = json.loads((healed.files.adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named.endswith("deep without 3 of its layers")


@pytest.mark.process
def test_full_fine_tuning_heals_it_too_and_goes_on_from_what_it_has_made(deep):
    job = train(new_folder(recipe_without(deep, 3, lora={"method": "full"}, training={"max_steps": 1})))
    found = findings_of(evaluate(job, longest_answer=2, most_rows=8).files)
    assert found.held_out.base.mean == pytest.approx(loss_of_whole(deep, job), rel=0.02)
    assert AutoModelForCausalLM.from_pretrained(job.files.model).config.num_hidden_layers == 3
    assert continued(job).model.drop_layers == 0
    assert target_of(job.id).left_out is None


@pytest.mark.process
def test_chat_answers_with_it_and_beside_it_with_the_whole_base(deep):
    train(new_folder(recipe_without(deep, 3, lora={"method": "qlora"}, training={"max_steps": 1})))
    tuned = next(model for model in choices() if model.tuned)
    assert (tuned.base, tuned.drop_layers) == (str(deep), 3)
    request = asked({"model": "x", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "max_tokens": 12})
    engine, layers, said = Engine(), [], []
    for target in (target_of(tuned.base), target_of(tuned.id), target_of(tuned.base)):
        ear = Ear()
        write(engine, [Row(request, target, read(target, request.messages), ear)])
        assert ear.error is None
        said.append(ear.text)
        layers.append(len(engine.weights.base.model.layers))
    assert said[0] == said[2] != said[1]
    assert layers == [6, 3, 6]


def test_the_plan_counts_the_weights_that_are_left(deep):
    recipe = recipe_without(deep)
    found = fetch_base(str(deep), left_out=LeftOut(2, first=2))
    model = AutoModelForCausalLM.from_pretrained(found.folder)
    shape = trained_shape(recipe.model)
    assert shape == shape_of(str(found.folder))
    assert shape.parameters == model.num_parameters()
    whole = toy_recipe(deep)
    assert trainable_parameters(recipe) * 6 == trainable_parameters(whole) * 4
    needed = [room_for_source(str(deep), drop_layers=layers).needed for layers in (0, 2)]
    assert needed[0] - needed[1] == 2 * (shape_of(str(deep)).parameters - shape.parameters)
    weights = sum(file.stat().st_size for file in found.folder.glob("*.safetensors"))
    assert disk_bytes(recipe) - disk_bytes(whole) < weights < 1.1 * 2 * shape.parameters
