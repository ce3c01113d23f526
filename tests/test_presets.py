"""Presets: each is a valid recipe with a reason, changes what it names and says so, and leaves no trace in the next."""

import pytest
from streamlit.testing.v1 import AppTest

from core import home
from core.errors import RecipeError
from core.files import write_whole
from core.home import ROOT
from core.recipe import Recipe
from core.recipe_yaml import load, to_yaml
from core.recipe_yaml import with_values as changed
from core.training.presets import PRESETS, changes, chosen


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_is_a_valid_recipe_and_is_recognised(preset):
    recipe = changed(Recipe(), preset.values)
    assert chosen(recipe) is preset
    assert changes(recipe, preset) == {}
    assert preset.reason.endswith(".")


def test_one_preset_after_the_other_is_the_last_one_alone():
    recipe = Recipe()
    for preset in (*PRESETS, *reversed(PRESETS)):
        recipe = changed(recipe, preset.values)
        assert recipe == changed(Recipe(), preset.values)


def test_a_preset_that_needs_held_out_rows_says_so():
    best = next(preset for preset in PRESETS if preset.name == "Best quality")
    with pytest.raises(RecipeError, match="held-out rows"):
        changed(changed(Recipe(), {"data.eval_fraction": 0}), best.values)


def test_choosing_a_preset_changes_the_draft_and_says_what():
    app = AppTest.from_file(str(ROOT / "studio" / "app.py"), default_timeout=30).run()
    app = app.switch_page("../pages/lora.py").run()
    app.button(key="preset:Best quality").click().run()
    assert not app.exception
    assert "Rank 16 → 64" in app.toast[0].value
    assert "Keep the best off → on" in app.toast[0].value
    recipe = load(home.draft_file())
    assert (recipe.lora.method, recipe.lora.rank, recipe.training.load_best) == ("rslora", 64, True)
    app.button(key="preset:Balanced").click().run()
    assert load(home.draft_file()) == Recipe()


@pytest.mark.parametrize(
    "values",
    [
        {"lora.method": "lora+", "training.schedule": "warmup_stable_decay"},
        {"lora.targets": ["q_proj", "v_proj"], "training.schedule": "cosine_with_min_lr", "training.optimizer": "sgd"},
    ],
)
def test_the_page_draws_what_any_method_and_schedule_adds(values):
    write_whole(home.draft_file(), to_yaml(changed(Recipe(), values)))
    app = AppTest.from_file(str(ROOT / "studio" / "app.py"), default_timeout=30).run()
    app = app.switch_page("../pages/lora.py").run()
    assert not app.exception
    keys = {widget.key for widget in app.number_input}
    assert keys & {"field:lora.plus_ratio", "field:training.min_rate"}
