"""The catalogue's figures are right: recomputed from the shapes, compared with published ones and with real rows."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from core import catalog
from core.recipe_sections import Source

REAL_ROWS = Path(__file__).parents[2] / "shared/data"
NORMS_PER_LAYER = {"Google": 4}  # Gemma 3 has norms before and after both blocks, the others only before
NORMALISES_HEADS = {"Google", "Qwen"}  # one norm for queries, one for keys

every_model = pytest.mark.parametrize("model", catalog.models(), ids=lambda model: model.source)


@every_model
def test_the_parameters_of_a_model_follow_from_its_shape(model):
    head_norms = 2 * model.head_dim if model.organisation in NORMALISES_HEADS else 0
    norms = model.layers * (NORMS_PER_LAYER.get(model.organisation, 2) * model.hidden_size + head_norms)
    embeddings = model.vocab_size * model.hidden_size * (1 if model.tied_embeddings else 2)
    assert model.parameters == embeddings + model.linear_parameters + norms + model.hidden_size


def test_sixteen_bit_weights_take_two_bytes_a_parameter():
    assert catalog.model("starter").weights_bytes() == 269_030_016
    assert catalog.model("starter").weights_bytes(32) == 2 * 269_030_016


@pytest.mark.parametrize(("source", "measured"), [("starter", 110e6), ("meta-llama/Llama-3.1-8B", 5.59e9)])
def test_four_bit_weights_keep_the_embeddings_at_sixteen_bits_as_measured(source, measured):
    assert catalog.model(source).weights_bytes(4) == pytest.approx(measured, rel=0.01)


@pytest.mark.parametrize(
    ("source", "group"),
    [
        ("HuggingFaceTB/SmolLM2-360M", "starter"),
        ("Qwen/Qwen3-0.6B", "small"),
        ("HuggingFaceTB/SmolLM2-1.7B", "small"),
        ("meta-llama/Llama-3.2-3B", "medium"),
        ("Qwen/Qwen3-4B", "medium"),
        ("meta-llama/Llama-3.1-8B", "large"),
    ],
)
def test_models_are_grouped_by_the_memory_they_need(source, group):
    assert catalog.model(source).memory_class == group


def test_the_starter_comes_first_and_has_the_shape_of_its_original():
    first, original = catalog.models()[0], catalog.model("HuggingFaceTB/SmolLM2-135M-Instruct")
    same = {"source": "", "name": ""}
    assert first.source == "starter" and catalog.datasets()[0].source == "starter"
    assert first.model_copy(update=same) == original.model_copy(update=same)


def test_models_are_listed_smallest_first():
    sizes = [model.parameters for model in catalog.models()]
    assert sizes == sorted(sizes)


@every_model
def test_every_gated_model_offers_a_mirror_by_which_it_is_found_too(model):
    assert model.gated == (model.organisation in {"Meta", "Google"}) == (model.mirror is not None)
    if model.mirror:
        assert catalog.model(model.mirror) is catalog.model(model.source) is model


def test_nothing_is_listed_twice():
    ids = [name for model in catalog.models() for name in (model.source, model.mirror) if name]
    sources = [data.source for data in catalog.datasets()]
    assert len(ids) == len(set(ids)) and len(sources) == len(set(sources))


def test_an_unknown_source_is_none_and_not_an_error():
    assert catalog.model("someone/else") is None
    assert catalog.dataset("someone/else") is None


def test_a_caller_cannot_change_the_catalogue():
    catalog.models().clear()
    assert catalog.models()
    with pytest.raises(ValidationError):
        catalog.model("starter").parameters = 1


def test_a_misspelt_key_in_the_catalogue_is_refused():
    entry = catalog.dataset("starter").model_dump()
    with pytest.raises(ValidationError, match="colums"):
        catalog.Dataset(**entry, colums={})


@pytest.mark.parametrize("data", catalog.datasets(), ids=lambda data: data.source)
def test_every_data_set_goes_into_a_recipe_as_it_is_described(data):
    fields = ("source", "config", "split", "layout", "columns")
    taken = Source(**{field: getattr(data, field) for field in fields})
    assert [getattr(taken, field) for field in fields] == [getattr(data, field) for field in fields]


@pytest.mark.skipif(not REAL_ROWS.exists(), reason="the real rows are not on this machine")
@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("mlabonne/FineTome-100k", "finetome_layout.jsonl"),
        ("databricks/databricks-dolly-15k", "dolly_layout.jsonl"),
        ("yahma/alpaca-cleaned", "alpaca_layout.jsonl"),
        ("qiaojin/PubMedQA", "pubmedqa_labeled.jsonl"),
        ("nguha/legalbench", "legalbench_hearsay.jsonl"),
        ("openai/gsm8k", "gsm8k_train.jsonl"),
    ],
)
def test_the_described_columns_are_in_the_real_rows(source, file):
    data = catalog.dataset(source)
    rows = [json.loads(line) for line in (REAL_ROWS / file).open(encoding="utf-8")]
    expected = set(data.columns.values()) or {data.layout}
    assert all(expected <= row.keys() for row in rows)
    if source in {"qiaojin/PubMedQA", "openai/gsm8k"}:  # the files that hold the whole split
        assert len(rows) == data.rows


def test_reading_the_catalogue_and_the_machine_loads_nothing_heavy():
    heavy = ["torch", "transformers", "peft", "trl", "datasets", "streamlit"]
    code = "import sys; from core import catalog, hardware; catalog.models(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "core.catalog" in loaded and not set(heavy) & set(loaded)
