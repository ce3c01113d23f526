"""Recipe fields as widgets: what they show comes from the field, what they hold goes into the draft and nowhere else."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from streamlit.testing.v1 import AppTest

from core import home
from core.files import write_whole
from core.recipe import Recipe, value_at
from core.recipe_yaml import load, to_yaml
from core.recipe_yaml import with_values as changed
from studio import draft, recipe_form

HEAVY = ("torch", "transformers", "peft", "trl", "datasets")


@pytest.fixture(autouse=True)
def without_heavy_packages(monkeypatch):
    for package in HEAVY:
        monkeypatch.setitem(sys.modules, package, None)


def form() -> None:
    """A page with one field of each kind."""
    import streamlit as st

    from studio import recipe_form, session

    recipe_form.number("lora.alpha")
    recipe_form.number("training.epochs", write="%g")
    recipe_form.number("training.eval_every", empty="automatic")
    recipe_form.slider("lora.rank", [4, 16, 64])
    recipe_form.choice("lora.method")
    recipe_form.select("training.precision")
    recipe_form.text("name")
    recipe_form.text("model.revision")
    recipe_form.text("data.sources.0.split")
    recipe_form.switch("data.cleaning.near_duplicates")
    recipe_form.select("data.mixing")
    if notice := session.take_notice():
        st.error(notice)


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_function(form).run()


def on_disk() -> Recipe:
    return load(home.draft_file())


def edit(recipe: Recipe) -> None:
    """Another tab changes the draft."""
    write_whole(home.draft_file(), to_yaml(recipe))


@pytest.mark.parametrize(
    ("path", "title", "limits"),
    [
        ("lora.rank", "Rank", (1, 512)),
        ("training.epochs", "Epochs", (0, 1000)),
        ("training.eval_every", "Held-out loss every", (1, None)),
        ("data.sources.0.limit", "Row limit", (1, None)),
        ("name", "Run name", (None, None)),
    ],
)
def test_title_and_limits_are_the_fields_own(path, title, limits):
    field = recipe_form.field(path)
    assert (field.title, recipe_form.limits(field)) == (title, limits)


def test_the_choices_are_the_fields_own():
    assert recipe_form.options(recipe_form.field("training.schedule"))[:3] == ["cosine", "linear", "constant"]


def test_every_widget_shows_the_draft_and_explains_itself(app):
    assert app.number_input(key="field:lora.alpha").value == 32
    assert app.number_input(key="field:training.eval_every").value is None
    assert app.select_slider(key="field:lora.rank").value == 16
    assert app.button_group(key="field:lora.method").value == "lora"
    assert app.text_input(key="field:name").value == "my-run"
    assert app.number_input(key="field:lora.alpha").help == recipe_form.field("lora.alpha").description


def test_limits_of_the_field_are_limits_of_the_widget(app):
    alpha = app.number_input(key="field:lora.alpha")
    assert (alpha.min, alpha.max, alpha.step) == (1, 2048, 1)


def test_a_change_is_on_disk_at_once(app):
    app.number_input(key="field:lora.alpha").set_value(64).run()
    app.select_slider(key="field:lora.rank").set_value(64).run()
    app.button_group(key="field:lora.method").set_value("dora").run()
    app.text_input(key="field:data.sources.0.split").set_value("test").run()
    recipe = on_disk()
    assert (recipe.lora.alpha, recipe.lora.rank, recipe.lora.method) == (64, 64, "dora")
    assert recipe.data.sources[0].split == "test"


def test_a_field_of_a_section_within_a_section_is_edited(app):
    app.toggle(key="field:data.cleaning.near_duplicates").set_value(True).run()
    app.selectbox(key="field:data.mixing").set_value("never cut").run()
    assert on_disk().data.cleaning.near_duplicates and on_disk().data.mixing == "never cut"
    assert on_disk().data.cleaning.exact_duplicates  # its neighbours keep their values


def test_an_emptied_field_is_none_where_the_recipe_allows_it(app):
    app.text_input(key="field:model.revision").set_value("main").run()
    assert on_disk().model.revision == "main"
    app.text_input(key="field:model.revision").set_value("").run()
    assert on_disk().model.revision is None


def test_what_the_recipe_refuses_springs_back_and_is_said(app):
    app.text_input(key="field:name").set_value("../x").run()
    assert app.text_input(key="field:name").value == "my-run"
    assert "name" in app.error[0].value
    app.number_input(key="field:training.epochs").set_value(0).run()
    assert app.number_input(key="field:training.epochs").value == 1
    assert "more than 0" in app.error[0].value


@pytest.mark.parametrize("path", ["lora.alpha", "training.epochs"])
def test_an_emptied_number_that_is_needed_goes_back_to_what_it_was(app, path):
    edit(changed(Recipe(), {path: 8}))
    app.run().number_input(key=f"field:{path}").set_value(None).run()
    assert app.number_input(key=f"field:{path}").value == value_at(on_disk(), path) == 8
    assert not app.error


def test_a_value_beside_the_sensible_ones_is_shown_and_kept(app):
    edit(changed(Recipe(), {"lora.rank": 20}))
    app.run()
    assert app.select_slider(key="field:lora.rank").options == ["4", "16", "20", "64"]
    assert app.select_slider(key="field:lora.rank").value == 20
    app.number_input(key="field:lora.alpha").set_value(40).run()
    assert (on_disk().lora.rank, on_disk().lora.alpha) == (20, 40)


def test_a_draft_that_changed_elsewhere_is_shown_not_overwritten(app):
    app.number_input(key="field:lora.alpha").set_value(64).run()
    edit(changed(on_disk(), {"lora.alpha": 8}))
    app.run()
    assert app.number_input(key="field:lora.alpha").value == 8
    assert on_disk().lora.alpha == 8


def test_a_contradiction_leaves_the_draft_alone(app):
    edit(changed(Recipe(), {"data.eval_fraction": 0}))
    app.run()
    app.number_input(key="field:training.eval_every").set_value(10).run()
    assert on_disk().training.eval_every is None
    assert "held-out" in app.error[0].value


def test_values_are_read_and_set_by_path():
    recipe = changed(Recipe(), {"data.sources.0.limit": 5, "lora.rank": 8})
    assert value_at(recipe, "data.sources.0.limit") == 5 and value_at(recipe, "lora.rank") == 8


def test_changes_of_runs_that_overlap_are_all_kept():
    """Streamlit begins the next run while the last one still ends, each in a thread of its own."""
    changes = [{"lora.rank": 8}, {"lora.alpha": 24}, {"training.batch": 3}, {"name": "four"}, {"data.max_length": 256}]
    for _ in range(5):
        edit(Recipe())
        with ThreadPoolExecutor(len(changes)) as threads:
            assert all(threads.map(draft.change, changes))
        assert all(value_at(on_disk(), path) == value for change in changes for path, value in change.items())
