"""The catalogue's figures are right: recomputed from the shapes, compared with published ones and with real rows."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from core import catalog
from core.data.braces import placeholders
from core.data.formats.misfit import template_problem
from core.data.formats.recognise import reading_of
from core.jobs.preflight import check
from core.recipe import parse
from core.recipe_data import Source

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


every_preset = pytest.mark.parametrize(
    ("data", "task"),
    [(data, task) for data in catalog.datasets() for task in [None, *data.tasks]],
    ids=lambda value: getattr(value, "source", value),
)


@every_preset
def test_every_data_set_goes_into_a_recipe_as_it_is_described(data, task):
    fields = ("source", "split", "file", "layout", "columns", "answer_template")
    taken = Source(**data.as_source(task))
    assert [getattr(taken, field) for field in fields] == [getattr(data, field) for field in fields]
    assert taken.config == (task or data.config)
    assert template_problem(taken) is None
    check(parse({"data": {"sources": [data.as_source(task)]}}), "prepare")


def test_a_task_brings_its_own_configuration_template_and_rows():
    data = catalog.dataset("nguha/legalbench")
    assert len(data.tasks) >= 10 and data.as_source() == data.as_source("hearsay") == data.as_source(data.config)
    taken = data.as_source("ucc_v_common_law")
    assert taken["config"] == "ucc_v_common_law" and taken["template"].startswith("{contract}")
    assert (data.rows_of("overruling", "test"), data.rows_of("unfair_tos", "test")) == (2_394, None)
    assert data.rows_of("overruling", "train") is data.rows_of("elsewhere", "test") is None
    assert data.rows_of(data.config, data.split) == data.rows
    with pytest.raises(KeyError):
        data.as_source("elsewhere")


@pytest.mark.parametrize("task", catalog.dataset("nguha/legalbench").tasks.values(), ids=lambda task: task.name)
def test_every_task_ends_in_what_to_answer(task):
    last = task.template.split("\n\n")[-1]
    assert "Answer " in last and last.endswith(".") and placeholders(task.template)


@pytest.mark.skipif(not REAL_ROWS.exists(), reason="the real rows are not on this machine")
@pytest.mark.parametrize(
    ("source", "task", "file"),
    [
        ("mlabonne/FineTome-100k", None, "finetome_layout.jsonl"),
        ("databricks/databricks-dolly-15k", None, "dolly_layout.jsonl"),
        ("yahma/alpaca-cleaned", None, "alpaca_layout.jsonl"),
        ("qiaojin/PubMedQA", None, "pubmedqa_labeled.jsonl"),
        ("openai/gsm8k", None, "gsm8k_train.jsonl"),
        ("openai/gsm8k", None, "gsm8k_test.jsonl"),
        *[
            ("nguha/legalbench", task, f"legalbench_{task}.jsonl")
            for task in ("hearsay", "corporate_lobbying", "supply_chain_disclosure_disclosed_training")
        ],
    ],
)
def test_every_real_row_becomes_a_conversation_by_its_preset(source, task, file):
    data = catalog.dataset(source)
    rows = [json.loads(line) for line in (REAL_ROWS / file).open(encoding="utf-8")]
    reading = reading_of(Source(**data.as_source(task)), list(rows[0]), rows)
    assert (reading.layout.NAME, reading.confidence) == (data.layout, 1)
    for row in rows:
        asked, *_, answered = reading.conversation(row).messages
        assert asked["role"] in ("user", "system") and answered["content"].strip()
        assert not task or answered["content"] == row["answer"]
    if file in {"pubmedqa_labeled.jsonl", "gsm8k_train.jsonl"}:  # the files that hold the whole split
        assert len(rows) == data.rows


@pytest.mark.skipif(not REAL_ROWS.exists(), reason="the real rows are not on this machine")
def test_pubmedqa_is_answered_with_the_conclusion_and_then_the_decision():
    row = json.loads((REAL_ROWS / "pubmedqa_labeled.jsonl").open(encoding="utf-8").readline())
    reading = reading_of(Source(**catalog.dataset("qiaojin/PubMedQA").as_source()), list(row))
    asked, answered = reading.conversation(row).messages
    assert asked["content"].startswith(row["question"]) and row["context"]["contexts"][0] in asked["content"]
    assert answered["content"] == f"{row['long_answer']}\n\nAnswer: {row['final_decision']}"


def test_reading_the_catalogue_and_the_machine_loads_nothing_heavy():
    heavy = ["torch", "transformers", "peft", "trl", "datasets", "streamlit"]
    code = "import sys; from core import catalog, hardware; catalog.models(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "core.catalog" in loaded and not set(heavy) & set(loaded)
