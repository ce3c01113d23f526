"""The names of a model's linear layers, without loading it: they are the ones that PEFT can be given."""

import pytest
from streamlit.testing.v1 import AppTest
from transformers import AutoModelForCausalLM

from core import home
from core.files import write_whole
from core.home import ROOT
from core.models.modules import linear_names
from core.recipe import Recipe
from core.recipe_yaml import load, to_yaml
from core.recipe_yaml import with_values as changed
from core.training import targets
from tests.toy_model import make_toy_model
from tests.toy_training import toy_recipe


def test_the_names_in_the_files_are_the_names_of_the_loaded_layers(tmp_path):
    toy = make_toy_model(tmp_path / "toy")
    loaded = {name.rpartition(".")[2] for name in targets.linear_modules(AutoModelForCausalLM.from_pretrained(toy))}
    assert set(linear_names(str(toy))) == loaded
    assert len(linear_names(str(toy))) == 7
    assert targets.modules(
        toy_recipe(toy, lora={"targets": ["q_proj"]}).lora, AutoModelForCausalLM.from_pretrained(toy)
    )


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0[]"])
def test_a_broken_file_has_no_names(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    assert linear_names(str(tmp_path)) == []


def test_of_a_model_that_is_not_here_the_catalog_knows_the_names():
    assert "gate_proj" in linear_names("meta-llama/Llama-3.2-1B-Instruct")
    assert linear_names("somebody/unknown") == []


def test_modules_are_chosen_on_the_page_and_the_last_one_stays():
    write_whole(home.draft_file(), to_yaml(changed(Recipe(), {"training.trackers": ["tensorboard"]})))
    app = (
        AppTest.from_file(str(ROOT / "studio" / "app.py"), default_timeout=30)
        .run()
        .switch_page("../pages/lora.py")
        .run()
    )
    app.button(key="targets:modules").click().run()
    assert not app.exception
    pills = app.button_group(key="field:lora.targets")
    pills.set_value(["q_proj", "v_proj"]).run()
    recipe = load(home.draft_file())
    assert recipe.lora.targets == ["q_proj", "v_proj"]
    assert recipe.training.trackers == ["tensorboard"]
    app.button_group(key="field:lora.targets").set_value([]).run()
    assert load(home.draft_file()).lora.targets == ["q_proj", "v_proj"]
    app.button(key="targets:kinds").click().run()
    assert load(home.draft_file()).lora.targets == "all-linear"
