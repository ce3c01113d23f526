"""What is said of a training on pairs, while it runs, at its end, by an evaluation, and on its model card."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

from core import follow, home
from core.errors import JobError
from core.evaluation import report
from core.evaluation.compare import LIKELIER, compared, compared_pairs
from core.evaluation.report import Findings
from core.files import append_line, write_whole
from core.hub import card
from core.hub.card_contents import Contents
from core.hub.facts import Facts
from core.jobs.folder import Job
from core.jobs.tail import lines_of
from core.jobs.worker import Worker
from core.recipe import parse
from core.recipe_yaml import to_yaml
from core.training.callbacks import Reporter
from core.training.device import choose_device
from core.training.divergence import Divergence
from core.training.held_out_events import before_and_after, preference
from core.training.run import _rows_in_words
from studio.event_words import lines_of as said_of
from tests.test_evaluation import evaluate
from tests.toy_pair_runs import pairs_recipe, write_pairs
from tests.toy_training import new_folder, train

pytestmark = pytest.mark.usefixtures("one_thread")
process_test = pytest.mark.process


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory) -> Path:
    """A home with a run of each objective; tests copy it."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(folder))
        write_pairs()
        for objective in ("dpo", "orpo"):
            train(new_folder(pairs_recipe(toy, objective), f"20260101-000000-{objective}"))
    return folder


@pytest.fixture
def dpo(trained) -> Job:
    return run_of(trained, "dpo")


def run_of(trained: Path, objective: str) -> Job:
    shutil.copytree(trained, home.home(), dirs_exist_ok=True)
    return Job(home.job_folder(f"20260101-000000-{objective}"))


def pairs(margins: list[float], tokens: int = 10) -> np.ndarray:
    """Losses of pairs, (pairs, 2, 2), in which the chosen answer is likelier by so many nats a token."""
    return np.array([[[20.0, tokens], [20.0 + margin * tokens, tokens]] for margin in margins])


# --- what a training says of itself ------------------------------------------------------------------------------------


@process_test
def test_a_training_says_pairs_and_which_answer_it_prefers_now_and_no_perplexity(trained):
    for objective, said in (
        ("dpo", "It moved towards the chosen answer in {after:.0f} % of 12 held-out pairs."),
        (
            "orpo",
            "Of 12 held-out pairs the chosen answer is preferred in {before:.0f} % before and in {after:.0f} % after.",
        ),
    ):
        job = run_of(trained, objective)
        held_out = [event for event in job.events if event["event"] == "held_out"]
        shares = {"before": 100 * held_out[0]["preferred"], "after": 100 * held_out[-1]["preferred"]}
        why = job.result["why"]
        assert "Trained 12 steps on 48 pairs." in why and said.format(**shares) in why
        assert f"The held-out loss went from {held_out[0]['loss']:.3f} to {held_out[-1]['loss']:.3f}." in why
        assert "perplexity" not in why + (job.files.adapter / "README.md").read_text()
    assert "0.693" in run_of(trained, "dpo").result["why"]


@process_test
def test_the_terminal_shows_how_often_the_chosen_answer_is_preferred(dpo):
    last = dpo.metrics["preferred"][-1]
    assert follow.now(dpo)[0].endswith(f", chosen answer preferred in {100 * last:.0f} %")
    assert follow.details(dpo)["preferred"][-1] == (12, last)
    assert "preferred:" not in follow.page(dpo)


@process_test
def test_after_a_resume_that_prepared_nothing_the_pairs_are_still_counted(dpo):
    append_line(dpo.files.events, {"time": 9.0, "event": "resuming", "step": None, "before_s": 1.0})
    assert preference(dpo) in dpo.result["why"] and "12 held-out pairs" in preference(dpo)
    assert preference(dpo, 5) != preference(dpo, 3) is None


def test_what_is_counted_is_called_a_pair_and_one_alone_is_no_plural():
    recipe = parse({"training": {"objective": "dpo"}})
    assert [_rows_in_words(recipe, 1), _rows_in_words(parse({}), 2)] == ["pair", "rows"]
    job = new_folder(recipe)
    for event in (
        {"event": "prepared", "rows": 1, "held_out_rows": 1, "tokens": 9, "pairs": True},
        *({"event": "held_out", "step": step, "loss": 1.0, "sources": {}, "preferred": 1.0} for step in (0, 5)),
    ):
        append_line(job.files.events, {"time": 2.0} | event)
    assert preference(job) == "It moved towards the chosen answer in 100 % of 1 held-out pair."
    assert "Data ready · 1 pair, 9 tokens" in said_of(job.events)[-1].text
    (begun,) = said_of([{"event": "training", "total_steps": 1, "device": "CPU"}])
    assert begun.text == "Training started · 1 step · CPU"


def test_of_answers_there_is_no_preference():
    job = new_folder(parse({}))
    for step, loss in ((0, 2.0), (5, 1.0)):
        append_line(job.files.events, {"time": 2.0, "event": "held_out", "step": step, "loss": loss, "sources": {}})
    assert preference(job) is None and before_and_after(job)["All held-out rows"] == (2.0, 1.0)


def test_a_loss_of_nothing_was_measured_too():
    job = new_folder(parse({"training": {"objective": "dpo"}}))
    for step, loss in ((0, 0.693), (5, 0.1), (9, 0.0)):
        append_line(job.files.events, {"time": 2.0, "event": "held_out", "step": step, "loss": loss, "sources": {}})
    assert before_and_after(job)["All held-out rows"] == (0.693, 0.0)


# --- divergence --------------------------------------------------------------------------------------------------------


@process_test
def test_answers_that_become_unlikely_together_are_a_divergence(toy):
    write_pairs()
    settings = {"learning_rate": 10, "max_steps": 20, "schedule": "constant"}
    job = new_folder(pairs_recipe(toy, training=settings, lora={"method": "full"}, checkpoints={"every_steps": 2}))
    said = "The loss of the chosen answers diverged at step .*good.*training.learning_rate 2e-06"
    with pytest.raises(JobError, match=said):
        train(job)
    assert job.metrics.step < 12
    losses = [row["loss"] for row in lines_of(job.files.metrics) if "loss" in row]
    assert None not in losses


def test_a_loss_of_pairs_that_falls_to_nothing_hides_no_divergence():
    job = new_folder(parse({"training": {"objective": "dpo"}}))
    seen = Reporter(Worker(job), choose_device(job.recipe.training), 1, {})
    ended = []
    for step, nats in enumerate([2.0, 3.9, *[4.1] * 5], 1):
        seen.saw(preferred=1, pairs=1, chosen=10 * nats, tokens=10)
        ended.append(seen.divergence.hopeless(step, seen._of_answers(loss=0.0)))
    assert ended == [False] * 6 + [True]
    assert "The loss of the chosen answers diverged at step 3: it went from 2.00 to 4.10" in seen.divergence.sentence()


@process_test
def test_a_checkpoint_says_where_the_answers_began_and_a_resume_knows_it(dpo):
    folder = dpo.checkpoints[-1].folder
    saved = json.loads(home.reporter_file(folder).read_text())["beginning"]
    assert 5 < saved < 9  # nats a token, of a model that knows nothing; the loss of dpo is below 1
    resumed = Divergence(dpo, saved)
    assert not any(resumed.hopeless(step, saved + 1.9) for step in range(20))
    assert any(resumed.hopeless(step, saved + 2.1) for step in range(20, 26))


# --- an evaluation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "tuned", "verdict"),
    [
        ([1.0, -1.0] * 10, [1.0] * 20, "better"),
        ([1.0] * 20, [1.0, -1.0] * 10, "worse"),
        ([1.0, -1.0] * 10, [-0.5, 0.5] * 10, "no difference"),
        ([-1.0] * 7, [1.0] * 7, "too few rows"),
        ([1.0] * 20, [math.nan] * 20, "no number"),
    ],
)
def test_the_verdict_goes_by_which_answer_is_likelier(base, tuned, verdict):
    found = compared_pairs("held-out pairs", pairs(base), pairs(tuned))
    assert (found.measure, found.verdict, found.rows) == (LIKELIER, verdict, len(base))
    assert found.base.mean == np.mean(np.array(base) > 0)


def test_a_model_may_have_moved_in_every_pair_without_a_verdict_and_equals_count_half():
    found = compared_pairs("held-out pairs", pairs([0.0, -0.5] * 10), pairs([0.1, -0.4] * 10))
    assert (found.base.mean, found.tuned.mean, found.moved.mean) == (0.25, 0.5, 1.0)
    still = compared_pairs("held-out pairs", pairs([-1.0] * 20), pairs([-0.9] * 20))
    assert (still.verdict, still.moved.mean, still.tuned.mean) == ("no difference", 1.0, 0.0)


def test_likelier_is_by_token_and_moved_by_whole_answer():
    """The chosen answer is ten times as long and loses more in all, less by token; tuned only makes it cheaper."""
    base = np.array([[[50.0, 100], [10.0, 10]]] * 9)
    tuned = np.array([[[40.0, 100], [9.0, 10]]] * 9)
    found = compared_pairs("held-out pairs", base, tuned)
    assert (found.base.mean, found.tuned.mean, found.moved.mean) == (1.0, 1.0, 1.0)
    assert compared_pairs("held-out pairs", tuned, base).moved.mean == 0.0


def test_what_was_found_is_said_in_a_sentence_and_reads_again_as_old_reports_do():
    sets = [compared_pairs("held-out pairs", pairs([1.0, -1.0] * 20), pairs([1.0, 1.0, 1.0, -1.0] * 10))]
    rows = np.array([[20.0, 10.0]] * 9)
    sets.append(compared("everyday questions", rows, rows, general=True))
    job = Job(home.job_folder("20260102-000000-evaluate"))
    report.write(job.files, Findings(sets))
    found = report.read(job.files)
    assert found == Findings(sets)
    assert found.sentences()[0].startswith(
        "Better: of 40 held-out pairs it finds the chosen answer the likelier one in 75 %, the base in 50 %; the difference lies "
        "between +12 and +40 points (95 %). Against the base it has moved towards the chosen answer in "
    )
    written = json.loads(job.files.evaluation.read_text())
    for one in written["sets"]:
        del one["measure"], one["moved"]
    write_whole(job.files.evaluation, json.dumps(written))
    assert report.read(job.files).general == sets[1]


@pytest.mark.parametrize(
    ("tuned", "said"),
    [
        ([1.0] * 5, "Too few pairs to say: of 5 held-out pairs it finds the chosen answer the likelier one in 100 %"),
        ([1.0], "Too few pairs to say: of 1 held-out pair it finds"),
        ([math.nan] * 9, "No verdict: on 9 held-out pairs the likelihood of the tuned model is no number."),
    ],
)
def test_what_pairs_cannot_say_is_said(tuned, said):
    found = compared_pairs("held-out pairs", pairs([-1.0] * len(tuned)), pairs(tuned))
    assert Findings([found]).sentences()[0].startswith(said)


@process_test
def test_an_evaluation_measures_both_answers_of_every_held_out_pair(dpo):
    job = evaluate(dpo, longest_answer=2)
    found = report.read(job.files)
    held_out = found.held_out
    assert (held_out.name, held_out.rows, held_out.measure) == ("held-out pairs", 12, LIKELIER)
    # The adapter began as the base, so the training and the evaluation count the same.
    assert f"in {100 * held_out.moved.mean:.0f} % of 12 held-out pairs" in dpo.result["why"]
    assert found.general.measure == "loss" and found.general.rows > 50
    assert job.result["why"].startswith(found.sentences()[0])
    assert follow.details(job)["findings"]["sets"][0]["moved"]["mean"] == held_out.moved.mean
    rows = [json.loads(line) for line in (home.uploads_folder() / "pairs.jsonl").read_text().splitlines()]
    answers = {row["prompt"]: row["chosen"] for row in rows}
    assert len(found.answers) == 5 and all(answers[said.prompt] == said.expected for said in found.answers)


@process_test
def test_what_was_trained_on_as_pairs_says_nothing_of_what_was_forgotten(dpo):
    """The same rows, of which as general data the chosen answers are read: only the held-out ones are left."""
    findings = report.read(evaluate(dpo, general=str(home.uploads_folder() / "pairs.jsonl"), longest_answer=2).files)
    assert findings.general.rows == 12


# --- the model card ----------------------------------------------------------------------------------------------------


def card_of(run: Job) -> ModelCard:
    return ModelCard(card.text(Facts.of(run), Contents("ann/x")))


@process_test
def test_the_card_says_which_preferences_by_what_and_near_what(trained):
    found = card_of(dpo := run_of(trained, "dpo"))
    assert {"lora", "dpo"} <= set(found.data.tags) and "sft" not in found.data.tags
    assert "trained on preferences for 12 steps" in found.text
    assert "| Objective | Preferences (DPO), beta 0.1 (arXiv:2305.18290) |" in found.text
    assert "| Held near | its base model |" in found.text
    assert "| Pairs | 48 with " in found.text and "each of 4 pairs |" in found.text
    before, after = before_and_after(dpo)["All held-out rows"]
    assert f"| Held-out pairs | Base: loss | Tuned: loss |\n| --- | ---: | ---: |\n| All held-out pairs | {before:.3f} | **{after:.3f}** |" in found.text  # fmt: skip
    assert preference(dpo) in found.text
    again = parse(dpo.recipe.model_dump() | {"model": dpo.recipe.model.model_dump() | {"start_from": "/home/ann/one"}})
    write_whole(dpo.files.recipe, to_yaml(again))
    said = card_of(Job(dpo.folder)).text
    assert "| Held near | the adapter that it began with |" in said and "| Held-out pairs | Before: loss |" in said
    orpo = card_of(run_of(trained, "orpo"))
    assert "orpo" in orpo.data.tags and "arXiv:2403.07691" in orpo.text and "Held near" not in orpo.text


@process_test
def test_the_card_has_what_an_evaluation_of_pairs_found(dpo):
    evaluate(dpo, longest_answer=2)
    text = card_of(dpo).text
    assert (
        "| Pairs | Number | Base: chosen answer likelier | Tuned: chosen answer likelier | Difference (95 %) |" in text
    )
    assert "| held-out pairs | 12 | " in text and " points |" in text
    assert "| Rows | Number | Base: loss |" in text and "perplexity" in text  # of the everyday questions
