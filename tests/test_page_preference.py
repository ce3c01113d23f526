"""Pairs of answers on the pages: chosen as what is learned, said under the data, shown token by token, followed, compared."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.synthetic_jobs import make_job
from core.__main__ import main
from core.data.preview import Shown, ShownRow, Token
from core.errors import DataError
from core.files import append_line, write_whole
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.jobs.preflight import check_rows
from core.recipe import Recipe
from core.recipe_yaml import to_yaml, with_values
from core.training.objectives import OBJECTIVES
from core.training.presets import PRESETS
from studio.charts import LIGHT
from studio.column_mapping import OF_PAIRS
from studio.compare_view import _measured_on
from studio.loss_chart import LossCurve, loss_figure
from studio.objective_choice import to_objective
from studio.token_view import legend_html, token_html
from studio.tries_popover import _settings
from tests.test_page_runs import compared, listed, runs
from tests.test_pages_prepare import click, edit, on_disk, opened, studio_home, text_of
from tests.toy_prepared import make_prepared

__all__ = ["studio_home"]  # the fixture: pytest looks for it here

DPO = {"training.objective": "dpo"}


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    file = tmp_path / "pairs.jsonl"
    row = {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"}
    file.write_text(f"{json.dumps(row)}\n" * 3)
    return str(file)


def run_on_pairs(number: int, name: str, held_out: float, **training) -> Job:
    """A finished run whose newest held-out pairs are preferred to three quarters."""
    training = {"objective": "dpo", "learning_rate": 2e-5} | training
    job = make_job(number, name, steps=20, training=training)
    with job.files.metrics.open("a") as file:
        file.write(json.dumps({"step": 20, "held_out_loss": held_out}) + "\n")
    with job.files.events.open("a") as file:
        file.write(
            json.dumps({"event": "held_out", "step": 20, "loss": held_out, "preferred": 0.75, "time": 1.0}) + "\n"
        )
    return job


# Choose


def test_an_objective_brings_its_settings_and_one_press_to_a_rate_that_it_bears(pairs):
    edit({"data.sources": [{"source": pairs}]})
    app = opened("lora")
    assert not [box for box in app.number_input if box.key == "field:training.beta"]
    app.selectbox(key="field:training.objective").set_value("dpo").run()
    said = text_of(app)
    assert OBJECTIVES["dpo"].hint in said and "**16 pairs per step**" in said and "2e-4 is too high for DPO" in said
    assert "**1** step" in said and "**1** steps" not in said
    assert "about 2 pairs to train on" in said and "about 2 pairs from 1 data set" in said
    assert app.number_input(key="field:training.beta").value == 0.1
    click(app, "objective:rate")
    assert on_disk().training.learning_rate == 2e-5 and "too high" not in text_of(app)
    app.selectbox(key="field:training.objective").set_value("sft").run()
    assert "2e-5 is a rate of DPO, low for answers" in text_of(app)
    click(app, "objective:rate")
    assert on_disk().training.learning_rate == 2e-4 and "low for answers" not in text_of(app)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_leaves_the_objective_alone_and_one_press_mends_its_rate(preset):
    recipe = with_values(with_values(Recipe(), DPO), preset.values)
    assert recipe.training.objective == "dpo" and not recipe.objective.bears(recipe.training.learning_rate, whole=False)
    assert recipe.objective.bears(recipe.objective.usual_rate(whole=False), whole=False)


def test_several_values_are_tried_of_what_the_objective_has_only():
    offered = {name: set(_settings(with_values(Recipe(), {"training.objective": name}))) for name in OBJECTIVES}
    assert offered["sft"] ^ offered["dpo"] == {"training.beta", "training.label_smoothing"}
    assert "training.beta" in offered["dpo"] and offered["dpo"] == offered["orpo"]


def test_a_rate_that_was_chosen_stays_with_another_objective():
    assert to_objective(Recipe(), "dpo") == {"training.objective": "dpo", "training.learning_rate": 2e-5}
    assert to_objective(with_values(Recipe(), {"training.learning_rate": 1e-5}), "orpo") == {
        "training.objective": "orpo"
    }
    whole = with_values(Recipe(), {"lora.method": "full"})
    assert to_objective(whole, "dpo")["training.learning_rate"] == 2e-6


# Data


def test_pairs_are_learned_as_answers_or_preferred_and_one_press_changes_that(pairs):
    edit({"data.sources": [{"source": pairs}]})
    app = click(opened("model_and_data"), "learn:0")
    assert (on_disk().training.objective, on_disk().training.learning_rate) == ("dpo", 2e-5)
    assert "DPO learns from both" in text_of(app)
    click(app, "learn:0")
    assert on_disk().training == Recipe().training and "the rejected ones are not used" in text_of(app)


def test_data_without_pairs_is_named_before_it_is_prepared_and_refused():
    edit(DPO)
    app = opened("model_and_data")
    assert "DPO learns from pairs" in text_of(app) and "this data has the layout messages" in text_of(app)
    click(app, "prepare")
    assert "training.objective dpo learns from pairs" in app.error[0].value
    app.switch_page("../pages/lora.py").run()
    assert "No pairs of answers in Fernway support" in text_of(app)
    click(app, "start")
    assert "learns from pairs" in app.error[0].value and not all_jobs()


def test_no_plan_is_made_of_what_no_training_begins_with(tmp_path, monkeypatch, capsys):
    file = tmp_path / "recipe.yaml"
    file.write_text("training: {objective: dpo}\n")
    monkeypatch.setattr(sys, "argv", ["core", "plan", str(file)])
    assert main() == 1
    said = capsys.readouterr()
    assert "starter: training.objective dpo learns from pairs" in said.err and not said.out


def test_data_at_the_hub_is_not_called_unpaired_before_its_layout_is_known():
    edit(DPO | {"data.sources": [{"source": "ann/pairs"}]})
    assert "learns from pairs" not in text_of(opened("model_and_data"))
    edit({"data.sources": [{"source": "ann/pairs", "layout": "alpaca"}]})
    assert "this data has the layout alpaca" in text_of(opened("model_and_data"))


ODD = {"question": "Hi", "good": "Hello", "bad": "Go away"}


@pytest.mark.parametrize(
    ("row", "named", "left"),
    [
        (ODD, {}, {"prompt": "question", "chosen": "good", "rejected": "bad"}),
        (ODD, {"question": "question", "answer": "good"}, {"prompt": "question", "chosen": "good", "rejected": "bad"}),
        ({"prompt": "Hi", "chosen": "Hello", "bad": "Go away"}, {}, {"rejected": "bad"}),
        ({"question": "Hi", "chosen": "Hello", "rejected": "Go away"}, {}, {"prompt": "question"}),
    ],
    ids=["odd names", "named as answers before", "no rejected", "no prompt"],
)
def test_where_pairs_are_wanted_their_columns_are_asked_for_until_they_can_be_read(tmp_path, row, named, left):
    file = tmp_path / "odd.jsonl"
    file.write_text(f"{json.dumps(row)}\n" * 3)
    edit(DPO | {"data.sources": [{"source": str(file), "columns": named}]})
    app = opened("model_and_data")
    for part, column in left.items():
        assert "learns from both" not in text_of(app)
        app.selectbox(key=f"column:0:{part}:{OF_PAIRS[part]}").set_value(column).run()
    assert "DPO learns from both" in text_of(app) and not [box for box in app.selectbox if "column:" in str(box.key)]
    assert on_disk().data.sources[0].columns == left


def test_a_row_without_two_answers_is_named_where_they_are_needed(tmp_path):
    file = tmp_path / "holes.csv"
    file.write_text("prompt,chosen,rejected\nHi,Hello,Go away\nHi,Hello,\n")
    edit({"data.sources": [{"source": str(file)}]})
    assert "line 3" not in text_of(opened("model_and_data"))
    edit(DPO)
    said = text_of(opened("model_and_data"))
    assert "DPO learns from both" in said and "holes.csv, line 3: the column `rejected` is empty" in said.replace(
        "\\", ""
    )


def test_pairs_without_a_rejected_answer_are_refused_before_a_job_starts(tmp_path):
    file = tmp_path / "half.jsonl"
    file.write_text('{"prompt": "Hi", "chosen": "Hello"}\n')
    recipe = edit(DPO | {"data.sources": [{"source": str(file)}]})
    with pytest.raises(DataError, match="no column `rejected` with the rejected answers"):
        check_rows(recipe)
    assert "No pairs of answers in half.jsonl" in text_of(opened("lora"))
    check_rows(edit({"training.objective": "sft"}))


# Prepared


def test_a_pair_is_drawn_as_two_that_are_told_apart_and_counted_apart():
    both = [Shown([Token("Hi", 7, False, False), Token(word, 8, True, False)], 0, "") for word in ("Hello", "Go")]
    row = ShownRow(0, 1, "trained on", both, lost=0, seen=1)
    drawn = token_html(row, 64, LIGHT).split("</style>")[1]
    chosen, rejected = drawn.split('<div class="one rejected">')
    assert '<div class="one chosen">' in chosen and "Chosen" in chosen and "Hello" in chosen and "Go" not in chosen
    assert "Rejected" in rejected and "Go" in rejected
    legend = legend_html(row, 64, LIGHT)
    assert "chosen </span></span> <b>1</b>" in legend and "rejected </span></span> <b>1</b>" in legend


def test_of_prepared_pairs_nothing_is_said_of_packing(pairs):
    make_prepared(edit(DPO | {"data.sources": [{"source": pairs}]}))
    app = opened("model_and_data")
    assert "the longer one of each pair" in text_of(app) and "Packing" not in text_of(app)
    assert [metric.delta for metric in app.metric if metric.label in ("To train on", "Held out")] == ["pairs", "pair"]


# Follow and compare


def test_a_run_on_pairs_shows_how_many_are_preferred_and_no_perplexity():
    job = run_on_pairs(1, "prefers", 0.5, beta=0.3)
    app = opened("train")
    app.session_state["fact:jobs"] = [job.id]
    app.switch_page("../pages/train.py").run()
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Chosen preferred"] == "75%" and "Perplexity" not in shown
    assert OBJECTIVES["dpo"].loss in text_of(app) and "DPO · LoRA r16" in text_of(app)
    assert ":gray[Beta]" in text_of(app) and "0.3" in [text.value for text in app.markdown]
    job.files.result.unlink()
    append_line(job.files.events, {"time": 2.0, "event": "resuming", "step": None, "before_s": 1.0})
    shown = {metric.label: (metric.value, metric.delta) for metric in app.run().metric}
    assert shown["Chosen preferred"] == ("75%", "of held-out pairs, chance is 50%")


def test_runs_of_different_objectives_are_not_ranked_among_each_other():
    answers = make_job(1, "answers", steps=20)
    others = [run_on_pairs(2, "prefers less", 0.6), run_on_pairs(3, "prefers", 0.1)]
    app = runs(answers, others[1])
    assert "different objectives" in text_of(app) and "trophy" not in "".join(compared(app)["Best held-out"])
    app.selectbox(key="runs:order").set_value("Best held-out loss").run()
    assert listed(app) == ["answers", "prefers", "prefers less"]
    assert "same objective, so those stand together" in text_of(app)
    app = runs(*others)
    assert "different objectives" not in text_of(app) and "trophy" in "".join(compared(app)["Best held-out"])


def test_runs_with_other_betas_are_compared_by_what_they_prefer():
    one, other = run_on_pairs(1, "stays nearer", 0.6, beta=0.3), run_on_pairs(2, "prefers", 0.1)
    assert compared(runs(one, other))["Chosen preferred"] == ["75%", "75%"]
    assert "Chosen preferred" not in compared(runs(make_job(3, "answers", steps=20), other))


def test_beta_is_part_of_what_a_loss_of_pairs_is():
    other = {"training.beta": 0.3}
    assert _measured_on(with_values(Recipe(), DPO)) != _measured_on(with_values(Recipe(), DPO | other))
    assert _measured_on(Recipe()) == _measured_on(with_values(Recipe(), other))


def test_losses_of_dpo_compare_only_where_the_runs_began_alike():
    first, later = run_on_pairs(1, "first", 0.3), run_on_pairs(2, "later", 0.1)
    write_whole(later.files.recipe, to_yaml(with_values(later.recipe, {"model.start_from": first.id})))
    app = runs(first, Job(later.folder))
    assert "began differently" in text_of(app) and "trophy" not in "".join(compared(app)["Best held-out"])
    begun = {"model.start_from": first.id}
    orpo = with_values(Recipe(), {"training.objective": "orpo"})
    assert _measured_on(orpo) == _measured_on(with_values(orpo, begun))


def test_losses_that_differ_in_their_tenth_digit_have_an_axis_to_read():
    curve = LossCurve([1, 2], [0.693147181, 0.693147182])
    low, high = loss_figure(curve)["layout"]["yaxis"]["range"]
    assert low < 0.6931 < high and 0.01 <= high - low < 0.02
