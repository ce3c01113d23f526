"""Full fine-tuning: every weight learns, a resumed run is the same run, and what comes out is a model like any other."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from core import home
from core.errors import JobError
from core.inference.batch import Row
from core.inference.choices import choices, target_of
from core.inference.engine import Engine
from core.inference.prompt import read
from core.inference.protocol import parse as asked
from core.jobs import launcher
from core.models.load import fetch
from core.plan.plan import checkpoint_bytes, disk_bytes
from core.plan.trainable import trainable_parameters
from core.recipe import parse
from core.training import start
from studio.new_run import continued
from tests.test_inference_parts import Ear, write
from tests.toy_training import curve, new_folder, resume, toy_recipe, train

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("one_thread")]

FULL = {"lora": {"method": "full"}}


@pytest.fixture
def trained(toy):
    return train(new_folder(toy_recipe(toy, **FULL)))


def test_every_weight_is_another_and_the_result_loads_like_any_model(toy, trained):
    assert trained.result["status"] == "finished"
    before, after = (load_file(folder / "model.safetensors") for folder in (toy, trained.files.model))
    assert before.keys() == after.keys()
    assert not [name for name in before if torch.equal(before[name], after[name])]
    model = AutoModelForCausalLM.from_pretrained(trained.files.model)
    assert model.dtype == torch.bfloat16
    assert AutoTokenizer.from_pretrained(trained.files.model).chat_template
    card = (trained.files.model / "README.md").read_text()
    assert "AutoModelForCausalLM" in card
    assert "lora" not in card.split("---")[1]


def test_a_resumed_run_is_the_same_run_to_the_byte(toy, trained):
    again = train(new_folder(toy_recipe(toy, **FULL), "20260101-000001-again"), stop_at=6)
    assert again.result["status"] == "stopped"
    resume(again)
    assert curve(again) == curve(trained)
    files = [job.files.model / "model.safetensors" for job in (again, trained)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_best_moment_becomes_the_result(toy):
    settings = {"load_best": True, "learning_rate": 0.05, "eval_every": 2}
    job = train(new_folder(toy_recipe(toy, **FULL, training=settings)))
    saved = load_file(job.files.checkpoint(job.best_step) / "model.safetensors")
    final = load_file(job.files.model / "model.safetensors")
    assert all(torch.equal(saved[name].bfloat16(), final[name]) for name in final)


def test_it_is_offered_for_chat_as_a_model_of_its_own(trained):
    assert next(model.id for model in choices() if model.tuned) == trained.id
    target = target_of(trained.id)
    assert (target.source, target.adapter) == (str(trained.files.model), None)
    checkpoint = target_of(f"{trained.id}@4")
    assert checkpoint.source == str(trained.files.checkpoint(4))
    found = fetch(target.source)
    (trained.files.model / "model.safetensors").touch()
    assert target_of(trained.id) != target
    assert fetch(target.source) != found  # the engine must not answer with the weights it had before


def test_chat_answers_with_it_and_still_with_its_base(toy):
    settings = {"max_steps": 30, "learning_rate": 3e-3}
    job = train(new_folder(toy_recipe(toy, **FULL, training=settings)))
    request = asked({"model": "x", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "max_tokens": 12})
    engine, said = Engine(), []
    for target in (target_of(str(toy)), target_of(job.id), target_of(str(toy))):
        ear = Ear()
        write(engine, [Row(request, target, read(target, request.messages), ear)])
        said.append(ear.text)
    assert said[0] == said[2] != said[1]


def test_a_new_run_goes_on_from_the_model_itself(toy, trained):
    recipe = continued(trained)
    assert recipe.model.source == str(trained.files.model)
    assert recipe.model.start_from is None
    with pytest.raises(JobError, match=r"is a whole model\. Give its folder as"):
        start.folder_of(trained.id)


def test_discarding_removes_what_was_written(trained):
    trained.files.result.unlink()
    launcher.end(trained, "Stopped.", keep=False)
    assert not trained.files.model.exists()


def test_the_plan_counts_every_weight_and_the_model_at_the_end(toy):
    recipe = parse({"lora": {"method": "full"}})
    assert trainable_parameters(recipe) == 134_515_008
    assert disk_bytes(recipe) > 134_515_008 * 12 * recipe.checkpoints.keep
    saved = train(new_folder(toy_recipe(toy, **FULL, training={"max_steps": 1}), "20260101-000009-size"))
    written = saved.checkpoints[-1].size_bytes
    assert written <= checkpoint_bytes(saved.recipe) <= written + 8_000_000
    assert home.adapter_config(saved.files.adapter).exists() is False
