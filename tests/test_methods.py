"""Every way to build an adapter: what it sets reaches PEFT, what is published works on the plain base, what cannot be is said."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, set_seed

from core import catalog
from core.errors import ModelError, RecipeError
from core.jobs.status import Status
from core.models.load import fetch, load_base
from core.plan.trainable import trainable_parameters
from core.recipe import parse
from core.training import run as training
from core.training import start, template_tokens
from core.training.methods import METHODS
from core.training.model import with_adapter
from tests.toy_model import make_toy_adapter, toy_tokenizer
from tests.toy_training import new_folder, toy_recipe, train

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("one_thread")]


def base(toy: Path):
    return AutoModelForCausalLM.from_pretrained(toy, dtype=torch.float32)


def built(toy: Path, **lora) -> PeftModel:
    return with_adapter(base(toy), toy_recipe(toy, lora=lora))


def ranks(model: PeftModel) -> dict[str, int]:
    """Module name without its wrapping -> rank of its adapter."""
    return {
        name.removeprefix("base_model.model.model.layers."): module.r["default"]
        for name, module in model.named_modules()
        if hasattr(module, "lora_A")
    }


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.whole])
def test_the_published_adapter_on_the_plain_base_is_what_was_trained(toy, method, monkeypatch):
    seen = {}
    real = training._finish

    def look(session, found, trainer, tokenizer):
        seen["model"] = trainer.model.eval()
        real(session, found, trainer, tokenizer)

    monkeypatch.setattr(training, "_finish", look)
    job = train(new_folder(toy_recipe(toy, lora={"method": method}, training={"max_steps": 4, "precision": "fp32"})))
    torch.set_float32_matmul_precision("highest")
    plain = base(toy) if METHODS[method].bits == 16 else seen["model"].unload()
    ids = torch.arange(1, 60).unsqueeze(0)
    with torch.no_grad():
        trained = seen["model"](input_ids=ids).logits if METHODS[method].bits == 16 else None
        untuned = plain(input_ids=ids).logits
        for folder in (job.files.adapter, job.checkpoints[-1].folder):
            published = PeftModel.from_pretrained(plain, folder, adapter_name=folder.name)
            published.set_adapter(folder.name)
            found = published(input_ids=ids).logits
            assert (found - untuned).abs().max() > 0.01
            if trained is not None:
                assert torch.allclose(found, trained, atol=2e-4)


def test_a_base_whose_own_settings_for_answers_contradict_each_other_can_be_saved(toy, tmp_path):
    folder = shutil.copytree(toy, tmp_path / "toy")
    (folder / "generation_config.json").write_text('{"temperature": 0.6, "top_p": 0.9, "eos_token_id": [2, 0]}')
    load_base(fetch(str(folder)), torch.float32, "cpu").save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    assert saved["eos_token_id"] == [2, 0]
    assert not {"temperature", "top_p"} & set(saved)


@pytest.mark.parametrize("method", ["qlora", "qlora8"])
def test_a_measurement_leaves_the_gradients_of_a_quantised_base_alone(toy, method):
    recipe = toy_recipe(toy, lora={"method": method})
    model = with_adapter(load_base(fetch(str(toy)), torch.float32, "cpu", METHODS[method].bits), recipe)
    ids = torch.arange(1, 60).unsqueeze(0)

    def first_gradient() -> torch.Tensor:
        set_seed(7)
        model.train()(input_ids=ids, labels=ids).loss.backward()
        found = model.get_submodule("base_model.model.model.layers.0.self_attn.q_proj").lora_B["default"].weight.grad
        model.zero_grad()
        return found.clone()

    before = first_gradient()
    with torch.no_grad():
        model.eval()(input_ids=ids)
    assert before.abs().max() > 0
    assert torch.equal(first_gradient(), before)


@pytest.mark.parametrize("method", ["pissa", "eva"])
def test_another_beginning_is_another_adapter_and_leaves_the_answers_alone(toy, method):
    recipe = toy_recipe(toy, lora={"method": method})
    ids = torch.arange(1, 60).unsqueeze(0)
    with torch.no_grad():
        before = base(toy)(input_ids=ids).logits
        rows = Dataset.from_dict({"input_ids": [list(range(n, n + 40)) for n in range(1, 60)]})
        model = with_adapter(base(toy), recipe, rows=rows).eval()
        assert torch.allclose(model(input_ids=ids).logits, before, atol=1e-4)
    plain = built(toy)
    name = "base_model.model.model.layers.0.self_attn.q_proj"
    ours, other = (each.get_submodule(name).lora_A["default"].weight for each in (model, plain))
    assert not torch.allclose(ours, other)


@pytest.mark.parametrize("pattern", [{"q_proj": 2}, {"q_proj": 8}, {"layers.1.self_attn.v_proj": 2, "down_proj": 8}])
def test_eva_gives_layers_with_the_same_inputs_their_own_ranks(toy, pattern):
    rows = Dataset.from_dict({"input_ids": [list(range(n, n + 40)) for n in range(1, 60)]})
    recipe = toy_recipe(toy, lora={"method": "eva", "rank_pattern": pattern})
    found = with_adapter(base(toy), recipe, rows=rows)
    assert ranks(found) == ranks(built(toy, rank_pattern=pattern))
    found(input_ids=torch.arange(1, 60).unsqueeze(0))


def test_the_second_matrices_of_lora_plus_learn_faster(toy, monkeypatch):
    seen = {}
    monkeypatch.setattr(training, "_finish", lambda session, found, trainer, *more: seen.update(made=trainer.optimizer))
    train(new_folder(toy_recipe(toy, lora={"method": "lora+", "plus_ratio": 8}, training={"max_steps": 2})))
    rates = {group["initial_lr"] for group in seen["made"].param_groups if group["params"]}
    assert rates == {1e-3, 8e-3}


@pytest.mark.parametrize(
    ("lora", "names"),
    [
        ({}, {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
        ({"targets": "attention"}, {"q_proj", "k_proj", "v_proj", "o_proj"}),
        ({"targets": ["q_proj", "mlp.up_proj"]}, {"q_proj", "up_proj"}),
    ],
)
def test_the_targets_get_an_adapter_and_nothing_else(toy, lora, names):
    assert {name.rpartition(".")[2] for name in ranks(built(toy, **lora))} == names


@pytest.mark.parametrize("lora", [{"first_layer": 1}, {"first_layer": 1, "last_layer": 1, "targets": "mlp"}])
def test_only_the_layers_asked_for_get_an_adapter(toy, lora):
    assert {name.split(".")[0] for name in ranks(built(toy, **lora))} == {"1"}
    assert {name.split(".")[0] for name in ranks(built(toy, last_layer=0))} == {"0"}


@pytest.mark.parametrize("method", ["lora", "qlora", "rslora", "lora+", "pissa"])
def test_a_bias_and_the_templates_tokens_learn_and_are_published(toy, method):
    lora = {"method": method, "bias": True, "template_tokens": True}
    job = train(new_folder(toy_recipe(toy, lora=lora, training={"max_steps": 6, "learning_rate": 1e-2})))
    published = load_file(job.files.adapter / "adapter_model.safetensors")
    biases = [weights for name, weights in published.items() if name.endswith("lora_B.bias")]
    assert len(biases) == 14
    assert all(bias.abs().max() > 0 for bias in biases)
    plain = base(toy)
    tuned = PeftModel.from_pretrained(plain, job.files.adapter)
    embedded, known = tuned.get_input_embeddings(), torch.arange(plain.config.vocab_size)
    marks = toy_tokenizer().convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    with torch.no_grad():
        changed = (embedded(known) - base(toy).get_input_embeddings()(known)).abs().amax(dim=1) > 0
    assert changed.nonzero().flatten().tolist() == marks
    with tuned.disable_adapter(), torch.no_grad():
        ids = torch.arange(1, 60).unsqueeze(0)
        assert torch.equal(tuned(input_ids=ids).logits, base(toy)(input_ids=ids).logits)


def test_the_templates_tokens_learn_where_the_output_layer_is_the_embedding_itself(toy, tmp_path):
    config = AutoConfig.from_pretrained(toy, tie_word_embeddings=True)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "tied")
    toy_tokenizer().save_pretrained(tmp_path / "tied")
    recipe = toy_recipe(tmp_path / "tied", lora={"template_tokens": True}, training={"max_steps": 3})
    job = train(new_folder(recipe))
    assert job.status is Status.FINISHED, job.result
    tuned = PeftModel.from_pretrained(base(tmp_path / "tied"), job.files.adapter)
    marks = toy_tokenizer().convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    for there in (tuned.get_input_embeddings(), tuned.get_output_embeddings()):
        changed = (there.weight - base(tmp_path / "tied").get_input_embeddings().weight).abs().amax(dim=1) > 0
        assert changed.nonzero().flatten().tolist() == marks


def test_tokens_that_were_never_learned_are_noticed(toy):
    model = base(toy)
    assert template_tokens.unlearned(model, [1, 2]) == []
    with torch.no_grad():
        model.get_input_embeddings().weight[2] *= 1e-3
    assert template_tokens.unlearned(model, [1, 2]) == [2]
    with torch.no_grad():
        model.get_input_embeddings().weight[2] = model.get_input_embeddings().weight[1]
    assert template_tokens.unlearned(model, [1, 2]) == [1, 2]


def test_a_run_says_that_the_template_writes_tokens_the_model_does_not_know(toy, tmp_path):
    model = base(toy)
    with torch.no_grad():
        model.get_input_embeddings().weight[2] *= 1e-3
    model.save_pretrained(tmp_path / "new")
    toy_tokenizer().save_pretrained(tmp_path / "new")
    for tokens, said in ((False, 1), (True, 0)):
        recipe = toy_recipe(tmp_path / "new", lora={"template_tokens": tokens}, training={"max_steps": 1})
        job = train(new_folder(recipe, f"20260101-00000{said}-new"))
        warnings = [event["text"] for event in job.events if event["event"] == "warning"]
        assert len([text for text in warnings if "never learned <|im_end|>" in text]) == said


def test_modules_have_ranks_and_alphas_of_their_own(toy):
    model = built(toy, rank_pattern={"down_proj": 8, "0.self_attn.q_proj": 2}, alpha_pattern={"down_proj": 4})
    found = ranks(model)
    assert (found["0.mlp.down_proj"], found["0.self_attn.q_proj"], found["1.self_attn.q_proj"]) == (8, 2, 4)
    assert model.get_submodule("base_model.model.model.layers.1.mlp.down_proj").scaling["default"] == 0.5


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ({"targets": ["q_proj", "qkv"]}, "no linear layer called qkv. It has down_proj, gate_proj"),
        ({"targets": ["lm_head"]}, "no linear layer called lm_head"),
        ({"rank_pattern": {"up": 3}}, "lora.rank_pattern: this model has no linear layer called up"),
        ({"alpha_pattern": {"up": 3}}, "lora.alpha_pattern"),
        ({"last_layer": 2}, "this model has 2 layers, 0 to 1, so there is no layer 2"),
        ({"method": "pissa", "rank": 48}, "48 is more than PiSSA can take out of k_proj, which has 32 directions"),
    ],
)
def test_what_the_model_does_not_have_is_said_with_what_it_has(toy, lora, said):
    with pytest.raises(ModelError, match=said):
        built(toy, **lora)


def test_too_little_data_for_eva_is_said(toy):
    recipe = toy_recipe(toy, lora={"method": "eva", "rank": 512}, data={"sources": [{"source": "starter", "limit": 4}]})
    with pytest.raises(ModelError, match="EVA needs at least 8,192 tokens"):
        train(new_folder(recipe))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lora": {"method": "pissa"}, "model": {"start_from": "x"}}, "lora.method: pissa cannot go on from"),
        ({"lora": {"method": "eva"}, "model": {"start_from": "x"}}, "lora.method: eva cannot go on from"),
        ({"lora": {"method": "full"}, "model": {"start_from": "x"}}, "give the folder of the model to go on from"),
        ({"lora": {"method": "full", "targets": "mlp"}}, "lora.targets: full fine-tuning trains every weight"),
        ({"lora": {"method": "full", "first_layer": 1}}, "lora.first_layer: full fine-tuning trains every weight"),
        ({"lora": {"method": "dora", "bias": True}}, "lora.bias: dora cannot have one"),
        ({"lora": {"method": "eva", "template_tokens": True}}, "lora.template_tokens: eva cannot train them, for PEFT"),
        ({"lora": {"method": "full", "template_tokens": True}}, "lora.template_tokens: full fine-tuning trains"),
        ({"lora": {"targets": []}}, "lora.targets: the list is empty"),
        ({"lora": {"targets": "some"}}, "'some' is not one of 'all-linear', 'attention' or 'mlp'"),
        ({"lora": {"targets": ["a b"]}}, r"lora.targets\[0\]: 'a b' is not usable here"),
        ({"lora": {"rank_pattern": {"q": 0}}}, "lora.rank_pattern.q: 0 is too small"),
        ({"lora": {"rank_pattern": {"(": 4}}}, "is not usable here"),
        ({"lora": {"first_layer": 3, "last_layer": 2}}, "lora.first_layer: 3 comes after lora.last_layer, which is 2"),
    ],
)
def test_settings_that_cannot_be_built_are_refused_before_the_start(values, said):
    with pytest.raises(RecipeError, match=said) as caught:
        parse(values)
    assert len(caught.value.problems) == 1


def test_an_adapter_on_other_modules_is_not_gone_on_from_in_silence(toy, tmp_path):
    adapter = make_toy_adapter(tmp_path / "adapter", toy, alpha=8)
    begin = {"start_from": str(adapter)}
    assert with_adapter(base(toy), toy_recipe(toy, start=begin))
    with pytest.raises(ModelError, match="sits on other modules"):
        with_adapter(base(toy), toy_recipe(toy, start=begin, lora={"first_layer": 1}))


def test_an_adapter_of_all_linear_layers_of_an_unknown_model_can_be_gone_on_from(toy, tmp_path):
    adapter = make_toy_adapter(tmp_path / "adapter", toy, alpha=8)
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"target_modules": ["qkv_proj", "o_proj"]}))
    assert start.problems(toy_recipe(toy, start={"start_from": str(adapter)})) == []
    starter = parse({"model": {"start_from": str(adapter)}, "lora": {"rank": 4, "alpha": 8}})
    assert "lora.targets" in start.problems(starter)[0]


@pytest.mark.parametrize(
    "lora",
    [
        {},
        {"method": "dora", "targets": "mlp"},
        {"targets": ["q_proj"], "first_layer": 1},
        {"rank_pattern": {"down_proj": 9}},
        {"bias": True},
    ],
)
def test_the_plan_counts_what_peft_makes(toy, lora, monkeypatch):
    known = catalog.model("starter").model_copy(
        update={"hidden_size": 64, "intermediate_size": 128, "layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 16}
    )
    monkeypatch.setattr(catalog, "model", lambda source: known)
    recipe = toy_recipe(toy, lora=lora)
    assert trainable_parameters(recipe) == built(toy, **lora).get_nb_trainable_parameters()[0]


@pytest.mark.parametrize(
    ("source", "trainable"),
    [
        ("starter", 4_884_480),
        ("google/gemma-3-270m-it", 3_796_992),
        ("Qwen/Qwen3-0.6B", 10_092_544),
        ("meta-llama/Llama-3.2-1B-Instruct", 11_272_192),
        ("meta-llama/Llama-3.2-3B-Instruct", 24_313_856),
        ("meta-llama/Llama-3.1-8B", 41_943_040),
    ],
)
def test_lora_of_rank_16_trains_as_many_parameters_as_peft_counts(source, trainable):
    assert trainable_parameters(parse({"model": {"source": source}})) == trainable


def test_lora_grows_in_proportion_to_the_rank():
    of_rank = [trainable_parameters(parse({"lora": {"rank": rank}})) for rank in (8, 64)]
    assert of_rank[1] == 8 * of_rank[0]
