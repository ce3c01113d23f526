"""The recipe: one default per field, everything wrong named at once, YAML in and out without loss."""

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from core.errors import RecipeError
from core.recipe import Recipe, diff, parse
from core.recipe_data import Source
from core.recipe_yaml import changed, from_yaml, load, to_yaml


def problems_of(values) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        parse(values)
    return caught.value.problems


def sections() -> list[type[BaseModel]]:
    return [
        Recipe,
        Source,
        *(type(getattr(Recipe(), name)) for name in ("model", "data", "lora", "training", "checkpoints")),
    ]


def test_an_empty_recipe_is_the_default_recipe():
    assert from_yaml("") == parse({}) == Recipe()


def test_every_field_explains_itself():
    silent = [
        (section.__name__, name)
        for section in sections()
        for name, field in section.model_fields.items()
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel))
        and not (field.title and field.description and field.description.endswith((".", "`")))
    ]
    assert silent == []


@given(
    rank=st.integers(1, 512),
    rate=st.floats(1e-8, 10),
    dropout=st.floats(0, 0.99),
    template=st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    source=st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=50),
)
def test_yaml_in_and_out_loses_nothing(rank, rate, dropout, template, source):
    recipe = parse(
        {
            "model": {"chat_template": template},
            "data": {"sources": [{"source": source, "columns": {"output": "Antwort: ja"}}]},
            "lora": {"rank": rank, "dropout": dropout},
            "training": {"learning_rate": rate},
        }
    )
    assert from_yaml(to_yaml(recipe)) == recipe


def test_all_problems_come_at_once_each_with_its_key_path():
    found = problems_of(
        {
            "nmae": "x",
            "lora": {"rank": 0, "rnak": 4},
            "training": {"learning_rate": 50, "schedule": "cos", "batch": "many"},
            "data": {"sources": [{"source": "starter"}, {"source": ""}]},
        }
    )
    paths = {problem.split(":")[0] for problem in found}
    assert paths == {
        "nmae",
        "lora.rank",
        "lora.rnak",
        "training.learning_rate",
        "training.schedule",
        "training.batch",
        "data.sources[1].source",
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"lora": {"rank": 0}}, "lora.rank: 0 is too small, it must be at least 1."),
        ({"training": {"learning_rate": 50}}, "training.learning_rate: 50 is too large, it must be at most 10."),
        (
            {"lora": {"rnak": 8}},
            "lora.rnak: unknown key; known here: method, rank, alpha, dropout, targets, first_layer, ",
        ),
        (
            {"name": "../x"},
            "name: '../x' is not usable here. Letters from a to z, digits, spaces, dots, dashes; up to 60 characters.",
        ),
        ({"training": {"learning_rate": float("nan")}}, "finite number"),
        ({"data": {"sources": []}}, "data.sources: at least one is needed."),
        ({"training": {"eval_every": 5}, "data": {"eval_fraction": 0}}, "data.eval_fraction is 0"),
        (["a", "list"], "this is a list"),
        ("words", "the single value 'words'"),
    ],
)
def test_a_mistake_gets_a_sentence_that_says_what_would_be_right(values, said):
    assert said in "\n".join(problems_of(values))


@pytest.mark.parametrize(
    "text",
    [
        "[1",
        "a: b: c",
        "\x00",
        "[" * 50_000,
        "a: 1\na: 2",
        "- 1",
        "training: {batch: 1, batch: 2}",
        "!!python/object:os.system {}",
    ],
)
def test_text_that_is_no_recipe_is_refused_in_words(text):
    with pytest.raises(RecipeError) as caught:
        from_yaml(text)
    assert "Traceback" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_recipe_or_a_sentence(text):
    try:
        assert isinstance(from_yaml(text), Recipe)
    except RecipeError as error:
        assert error.problems


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"nowhere\.yaml cannot be read: there is no such file"):
        load(tmp_path / "nowhere.yaml")


def test_a_change_on_the_command_line_wins_over_the_file(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("training: {learning_rate: 1.0e-4, batch: 2}")
    recipe = load(file, ["training.learning_rate=5e-4", "lora.rank=4"])
    assert (recipe.training.learning_rate, recipe.training.batch, recipe.lora.rank) == (5e-4, 2, 4)


@pytest.mark.parametrize("change", ["training.learning_rate", "=3", ""])
def test_a_change_without_key_or_value_is_refused(change):
    with pytest.raises(RecipeError, match=r"key\.path=value"):
        changed({}, change)


def test_a_change_below_a_plain_value_is_refused_in_words(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("name: x")
    with pytest.raises(RecipeError, match="nothing called 'first'"):
        load(file, ["name.first=3"])


def test_a_change_reaches_into_the_list_of_sources(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("data: {sources: [{source: starter}, {source: me/rows}]}")
    assert [source.limit for source in load(file, ["data.sources[1].limit=5"]).data.sources] == [None, 5]


def test_diff_names_every_field_that_differs_and_no_other():
    a = parse({"lora": {"rank": 8}})
    b = parse({"lora": {"rank": 16}, "data": {"sources": [{"source": "starter"}, {"source": "me/rows"}]}})
    found = diff(a, b)
    assert found["lora.rank"] == (8, 16)
    assert found["data.sources[1].source"] == (None, "me/rows")
    assert not [key for key in found if not key.startswith(("lora.rank", "data.sources[1]"))]
    assert diff(a, a) == {}


NUMBERS = [
    (f"{section}.{name}", field.description)
    for section in ("lora", "training", "checkpoints", "launcher")
    for name, field in Recipe.model_fields[section].default_factory().__class__.model_fields.items()
    if {int, float} & {field.annotation, *get_args(field.annotation)} and name != "seed"
]


@pytest.mark.parametrize(("path", "text"), NUMBERS, ids=[path for path, _ in NUMBERS])
def test_the_help_of_a_number_says_when_to_raise_and_when_to_lower_it(path, text):
    assert re.search(r"\b[Rr]aise\b", text), path
    assert re.search(r"\b[Ll]ower\b", text), path
