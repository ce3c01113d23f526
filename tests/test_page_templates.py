"""The chat template on Model & data: a base model works as soon as it is chosen, and the page says with what."""

import json
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import home
from core.errors import ModelError
from core.files import write_whole
from core.home import ROOT
from core.jobs.preflight import check
from core.models.templates import has_own_template
from core.recipe import Recipe
from core.recipe_yaml import load, to_yaml
from core.recipe_yaml import with_values as changed

HEAVY = ("torch", "transformers", "peft", "trl", "datasets")
BASE, INSTRUCT, GATED = "HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M-Instruct", "google/gemma-3-270m"
SELECT = "field:model.chat_template"
JINJA = "{% for message in messages %}{{ message.content }}{% endfor %}"


@pytest.fixture(autouse=True)
def without_heavy_packages(monkeypatch):
    for package in HEAVY:
        monkeypatch.setitem(sys.modules, package, None)


def opened(model: dict | None = None) -> AppTest:
    """A new tab on the page, all models shown, where the draft has this model."""
    values = {f"model.{name}": value for name, value in (model or {}).items()}
    write_whole(home.draft_file(), to_yaml(changed(Recipe(), values)))
    app = AppTest.from_file(str(ROOT / "studio" / "app.py"), default_timeout=30).run()
    app = app.switch_page("../pages/model_and_data.py").run()
    return app.button_group(key="models:filter").set_value([]).run()


def chosen() -> str | None:
    return load(home.draft_file()).model.chat_template


def offered(app: AppTest) -> list[str]:
    """What the select offers; nothing where there is none."""
    return next((list(box.options) for box in app.selectbox if box.key == SELECT), [])


def choose(app: AppTest, source: str) -> AppTest:
    return app.button(key=f"model:{source}").click().run()


def folder(path: Path, config: dict | None, jinja: str | None = None) -> str:
    """What the page looks at in a model folder: is it a model, and has its tokenizer a template?"""
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(b"")
    if config is not None:
        (path / "tokenizer_config.json").write_text(json.dumps(config))
    if jinja:
        (path / "chat_template.jinja").write_text(jinja)
    return str(path)


def test_a_model_with_a_template_of_its_own_is_asked_nothing():
    assert offered(opened()) == []


def test_a_base_model_begins_with_plain_and_the_page_shows_it():
    app = choose(opened(), BASE)
    assert not app.exception
    assert chosen() == "plain"
    assert offered(app) == ["Plain", "Alpaca", "None yet"]
    assert app.selectbox(key=SELECT).value == "plain"


def test_a_base_model_with_a_gate_begins_with_plain_too():
    app = opened()
    app.menu_button(key=f"model:{GATED}").click("mirror").run()
    assert chosen() == "plain" and offered(app)


def test_another_template_is_kept_in_the_recipe():
    choose(opened(), BASE).selectbox(key=SELECT).set_value("alpaca").run()
    assert chosen() == "alpaca"


def test_no_template_can_be_chosen_for_text_without_turns():
    choose(opened(), BASE).selectbox(key=SELECT).set_value("").run()
    assert chosen() is None


def test_an_instruct_model_goes_back_to_its_own_template():
    app = choose(choose(opened(), BASE), INSTRUCT)
    assert chosen() is None and offered(app) == []


def test_a_template_of_ones_own_stays_and_stays_in_sight():
    app = choose(opened({"source": BASE, "chat_template": JINJA}), INSTRUCT)
    assert chosen() == JINJA
    assert offered(app) == ["Plain", "Alpaca", "The model's own", "Your own Jinja text"]
    app.selectbox(key=SELECT).set_value("").run()
    assert chosen() is None


def test_a_folder_without_a_template_is_recognised(tmp_path):
    source = folder(tmp_path / "base", {"model_max_length": 2048})
    app = opened()
    app.text_input(key="models:search").set_value(source).run()
    app = app.button(key="model:typed").click().run()
    assert chosen() == "plain"
    assert offered(app) == ["Plain", "Alpaca", "None yet"]


def test_a_model_from_the_hub_that_nobody_knows_may_have_one():
    app = opened({"source": "EleutherAI/pythia-70m"})
    assert offered(app) == ["Plain", "Alpaca", "The model's own, if it has one"]
    assert chosen() is None


@pytest.mark.parametrize(
    ("config", "jinja", "found"),
    [
        ({"chat_template": JINJA}, None, True),
        ({"chat_template": [{"name": "default", "template": JINJA}]}, None, True),
        ({}, JINJA, True),
        ({}, None, False),
        ({"chat_template": None}, None, False),
        (None, None, None),
    ],
    ids=["in the configuration", "several", "in a file", "none", "null", "no tokenizer"],
)
def test_a_folder_s_own_template_is_found_where_transformers_looks(tmp_path, config, jinja, found):
    assert has_own_template(folder(tmp_path / "model", config, jinja)) is found


def test_the_catalog_knows_which_models_have_one():
    assert has_own_template("starter") and has_own_template("unsloth/gemma-3-270m-it")
    assert has_own_template("unsloth/gemma-3-270m") is False
    assert has_own_template("somebody/something") is None


def test_a_name_of_no_template_is_told_before_anything_starts():
    with pytest.raises(ModelError, match="'plian' is neither Jinja text nor one of plain, alpaca"):
        check(changed(Recipe(), {"model.chat_template": "plian"}))
