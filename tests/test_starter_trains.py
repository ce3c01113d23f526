"""The real starter model: every preset trains it, and a learning rate of 10 ends in a sentence."""

from pathlib import Path

import pytest

from core import home
from core.errors import JobError
from core.recipe import Recipe, parse
from core.recipe_yaml import with_values as changed
from core.training.presets import PRESETS
from tests.toy_training import new_folder, train

pytestmark = pytest.mark.model

SMALL = {
    "data.sources": [{"source": "starter", "limit": 24}],
    "data.eval_fraction": 0.1,
    "data.max_length": 64,
    "training.accumulation": 1,
    "training.max_steps": 1,
}


@pytest.fixture(autouse=True)
def starter_is_there(studio_home: Path, starter_models: Path) -> None:
    studio_home.mkdir(exist_ok=True)
    home.models_folder().symlink_to(starter_models)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_trains_the_starter(preset):
    recipe = changed(changed(Recipe(), preset.values), SMALL)
    job = train(new_folder(recipe))
    assert job.result["status"] == "finished"
    assert job.metrics.held_out_at.keys() == {0, 1}
    assert (job.files.adapter / "adapter_model.safetensors").exists()


def test_a_learning_rate_of_ten_ends_in_a_sentence_about_divergence():
    recipe = parse(
        {"training": {"learning_rate": 10, "batch": 1, "accumulation": 1}, "checkpoints": {"every_steps": 1}}
    )
    job = new_folder(changed(recipe, SMALL | {"training.max_steps": 40}))
    with pytest.raises(JobError) as caught:
        train(job)
    assert "The loss diverged at step" in str(caught.value)
    assert "is from before that, and good" in str(caught.value)
    assert "start a new run from this one with training.learning_rate 0.0002" in str(caught.value)
    assert job.metrics.step < 15
