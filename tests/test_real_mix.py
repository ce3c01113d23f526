"""Every file of real data through its preset, and a mix of three of them in a training."""

from pathlib import Path

import pytest

from core import catalog
from core.data.preview import Prepared, prepared_by
from tests.test_data import adds_up, prepared
from tests.toy_training import new_folder, toy_recipe, train

pytestmark = pytest.mark.process

# File, the data set it is laid out like, its task, rows.
FILES = [
    ("finetome_layout.jsonl", "mlabonne/FineTome-100k", None, 235),
    ("dolly_layout.jsonl", "databricks/databricks-dolly-15k", None, 175),
    ("alpaca_layout.jsonl", "yahma/alpaca-cleaned", None, 175),
    ("pubmedqa_labeled.jsonl", "qiaojin/PubMedQA", None, 1_000),
    ("gsm8k_test.jsonl", "openai/gsm8k", None, 1_319),
    ("legalbench_hearsay.jsonl", "nguha/legalbench", "hearsay", 5),
    ("legalbench_corporate_lobbying.jsonl", "nguha/legalbench", "corporate_lobbying", 10),
    (
        "legalbench_supply_chain_disclosure_disclosed_training.jsonl",
        "nguha/legalbench",
        "supply_chain_disclosure_disclosed_training",
        8,
    ),
]


def as_its_preset(path: Path, source: str, task: str | None) -> dict:
    """The file read as the data set of the catalog is."""
    return catalog.dataset(source).as_source(task) | {"source": str(path), "config": None, "split": "train"}


@pytest.mark.parametrize(("file", "source", "task", "rows"), FILES)
def test_every_real_file_is_read_whole_by_the_settings_of_its_preset(shared_data, toy, file, source, task, rows):
    report, files, _ = prepared(toy, as_its_preset(shared_data / file, source, task), max_length=16_384)
    assert adds_up(report) and report["rows_read"] == rows and not report["problems"]
    shown = Prepared(files).view(0).row(0)
    assert 0 < shown.trained < len(shown.tokens)


def test_pubmedqa_learns_the_long_answer_with_the_decision(shared_data, toy):
    source = as_its_preset(shared_data / "pubmedqa_labeled.jsonl", "qiaojin/PubMedQA", None) | {"limit": 2}
    _, files, _ = prepared(toy, source, max_length=16_384)
    learned = "".join(token.text for token in Prepared(files).view(0).row(0).tokens if token.trained)
    assert learned.removesuffix("<|im_end|>").rstrip().lower().endswith(("yes", "no", "maybe")) and len(learned) > 40


def test_a_mix_of_conversations_medicine_and_law_trains(shared_data, toy):
    chosen = [(FILES[0], 0.5), (FILES[3], 0.4), (FILES[5], 0.1)]
    sources = [
        as_its_preset(shared_data / file, source, task) | {"weight": weight}
        for (file, source, task, _), weight in chosen
    ]
    recipe = toy_recipe(toy, data={"sources": sources, "max_length": 700}, training={"max_steps": 3})
    job = train(new_folder(recipe))
    report = prepared_by(job).report
    assert job.metrics.step == 3 and adds_up(report)
    shares = [source["rows"] / report["rows"] for source in report["sources"]]
    assert shares == pytest.approx([0.5, 0.4, 0.1], abs=0.01)
    assert report["sources"][2]["epochs"] > 1  # five rows only: they repeat
