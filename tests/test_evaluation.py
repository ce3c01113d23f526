"""The evaluation: base and tuned on the same rows, a verdict that the data can bear, what was forgotten, answers of both."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from core import follow, home
from core.data.report import source_names
from core.data.starter import generate
from core.data.tokens import IGNORED
from core.errors import DataError, JobError, ModelError
from core.evaluation import prompts, report, start, tasks
from core.evaluation import run as evaluation
from core.evaluation.answers import answers
from core.evaluation.asked import EVERYDAY, NOTHING, Evaluation
from core.evaluation.compare import compared
from core.evaluation.losses import row_losses
from core.evaluation.report import Findings, TaskScore, read
from core.export.asked import Export
from core.files import append_line, write_whole
from core.hub.publication import Publication
from core.jobs import launcher
from core.jobs.asked import beside
from core.jobs.asked import read as read_asked
from core.jobs.errand import errand, errands_of
from core.jobs.folder import Job
from core.jobs.worker import Worker
from core.recipe import parse
from core.recipe_yaml import to_yaml as recipe_yaml
from core.training import documents
from tests.toy_model import CONTEXT, toy_tokenizer
from tests.toy_run import make_toy_run
from tests.toy_training import new_folder, toy_recipe, train

pytestmark = pytest.mark.usefixtures("one_thread")


def evaluate(run: Job, **asked) -> Job:
    """Do an evaluation in this process."""
    job = Job(home.job_folder(f"20260102-000000-evaluate-{len(list(home.jobs_folder().iterdir()))}"))
    job.folder.mkdir()
    write_whole(job.files.recipe, recipe_yaml(run.recipe))
    for name, text in beside("evaluate", Evaluation(run=run.id, **asked)).items():
        write_whole(job.folder / name, text)
    append_line(job.files.events, {"time": 2.0, "event": "created", "kind": "evaluate"})
    evaluation.run(Worker(job))
    return job


def losses(values: list[float], tokens: int = 10) -> np.ndarray:
    return np.array([(value * tokens, tokens) for value in values])


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([2.0, 3.0, 2.5, 4.0] * 5, [1.0, 2.2, 1.4, 3.1] * 5, "better"),
        ([1.0, 2.0, 1.5, 3.0] * 5, [1.2, 2.4, 1.6, 3.3] * 5, "worse"),
        ([2.0, 3.0] * 10, [2.5, 2.5] * 10, "no difference"),
        ([9.0] * 7, [1.0] * 7, "too few rows"),
    ],
)
def test_the_verdict_is_what_the_rows_can_bear(before, after, verdict):
    found = compared("rows", losses(before), losses(after))
    assert found.verdict == verdict
    assert found.difference.mean == pytest.approx(np.mean(after) - np.mean(before))
    assert found.difference.low <= found.difference.mean <= found.difference.high
    assert found.base.low <= found.base.mean <= found.base.high


@pytest.mark.parametrize("lost", [float("nan"), float("inf")])
def test_a_model_that_computes_no_numbers_gets_no_verdict(lost):
    base = losses([2.0, 3.0] * 10)
    tuned = base.copy()
    tuned[3, 0] = lost
    job = Job(home.job_folder("20260102-000000-evaluate"))
    report.write(job.files, Findings([compared("held-out rows", base, tuned)]))
    assert json.loads(job.files.evaluation.read_text(), parse_constant=pytest.fail)
    found = read(job.files)
    assert found.held_out.verdict == "no number" and found.held_out.base.mean == pytest.approx(2.5)
    assert "the loss of the tuned model is no number" in found.sentences()[0]


def test_pairs_make_a_small_difference_sure_that_two_ranges_alone_would_not():
    rng = np.random.default_rng(1)
    hard = rng.uniform(0.5, 6, 60)
    found = compared("rows", losses(hard), losses(hard - rng.uniform(0.05, 0.15, 60)))
    assert found.base.low < found.tuned.high  # the ranges overlap
    assert found.verdict == "better"


def test_nineteen_of_twenty_ranges_hold_the_true_difference():
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        base = rng.normal(3, 1, 80)
        found = compared("rows", losses(base), losses(base - 0.2 + rng.normal(0, 0.5, 80)))
        held += found.difference.low <= -0.2 <= found.difference.high
    assert 180 <= held <= 200


def test_long_rows_count_for_their_tokens():
    before, after = np.array([[10.0, 10], [900.0, 300]]), np.array([[20.0, 10], [600.0, 300]])
    found = compared("rows", before, after)
    assert (found.base.mean, found.tuned.mean) == (910 / 310, 620 / 310)
    assert found.tokens == 310


@pytest.mark.process
@pytest.mark.parametrize("at_once", [1, 3])
def test_the_losses_of_rows_are_those_that_the_model_itself_computes(toy, at_once):
    torch.set_float32_matmul_precision("highest")  # a training in this process may have shortened the products
    model = AutoModelForCausalLM.from_pretrained(toy, dtype=torch.float32).eval()
    rows = [{"input_ids": list(range(3, n)), "labels": [-100, -100, *range(5, n)]} for n in (40, 12, 25, 90)]
    found = row_losses(model, rows, at_once)
    assert documents.use_in(model, 100) is None
    assert row_losses(model, rows, at_once) == pytest.approx(found, rel=1e-4)
    model.set_attn_implementation("sdpa")
    model.config.final_logit_softcapping = 1e9  # now all logits are computed
    assert row_losses(model, rows, at_once) == pytest.approx(found, rel=1e-5)
    for row, (total, tokens) in zip(rows, found, strict=True):
        with torch.no_grad():
            mean = model(**{name: torch.tensor([values]) for name, values in row.items()}).loss
        assert tokens == len(row["input_ids"]) - 2
        assert total / tokens == pytest.approx(float(mean), rel=1e-4)


def test_of_a_run_without_a_result_the_step_is_kept_that_is_evaluated():
    run = make_toy_run("run", "starter", folder_with_files, (5, 10))
    assert errand(Evaluation, run.id, {}, NOTHING).step is None
    shutil.rmtree(run.files.adapter)
    assert errand(Evaluation, run.id, {}, NOTHING).step == 10
    assert errand(Evaluation, run.id, {"step": 5}, NOTHING).step == 5


@pytest.mark.parametrize(("kind", "values"), [(Evaluation, {}), (Export, {}), (Publication, {"repository": "me/run"})])
def test_the_result_of_a_stopped_run_is_asked_for_by_its_step_because_another_follows_once_it_goes_on(kind, values):
    run = make_toy_run("run", "starter", folder_with_files, (5, 10))
    write_whole(run.files.result, json.dumps({"status": "stopped", "why": "", "time": 1.0, "step": 10}))
    assert errand(kind, run.id, values, NOTHING).step == 10
    shutil.rmtree(run.files.checkpoint(10))
    assert errand(kind, run.id, values, NOTHING).step is None, "nothing but the result is there"


def folder_with_files(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_the_everyday_questions_have_nothing_of_the_starter_data():
    rows = [json.loads(line) for line in EVERYDAY.read_text().splitlines()]
    assert len(rows) == len({row["question"] for row in rows}) == 60
    starter = [row["messages"] for split in ("train", "held_out") for row in generate.rows(split)]
    said = {turn["content"].strip().lower() for turns in starter for turn in turns}
    assert not said & {text.strip().lower() for row in rows for text in row.values()}
    assert not any(generate.in_manner(row["answer"]) for row in rows)
    assert not any("fernway" in text.lower() or "parcel" in text.lower() for row in rows for text in row.values())


@pytest.fixture
def trained(toy):
    data = {"sources": [{"source": "starter", "limit": 60}], "eval_fraction": 0.3}
    return train(new_folder(toy_recipe(toy, data=data, training={"learning_rate": 1e-2, "max_steps": 15})))


@pytest.mark.process
def test_a_run_is_compared_with_its_base(toy, trained):
    job = evaluate(trained, longest_answer=8)
    findings = read(job.files)
    assert findings.held_out.verdict == "better"
    assert findings.held_out.tuned.mean == pytest.approx(trained.metrics.held_out_at[15], rel=5e-3)
    assert findings.held_out.base.mean == pytest.approx(trained.metrics.held_out_at[0], rel=5e-3)
    assert findings.general.rows == 60
    assert job.result["why"].startswith("Better: the held-out loss fell from")
    assert "everyday questions" in job.result["why"]
    assert [job.id for job in errands_of(trained, "evaluate")] == [job.id]
    assert len(findings.answers) == 5
    asked = [event for event in job.events if event.get("what") == "Asking tuned"]
    assert asked[0]["done"] < asked[-1]["done"] == asked[-1]["total"] == 8
    assert all(answer.expected for answer in findings.answers)
    assert not any("user" in answer.prompt or "assistant" in answer.prompt for answer in findings.answers)
    assert any(answer.base != answer.tuned for answer in findings.answers)
    assert [row["prompt"] for row in csv.DictReader(io.StringIO(findings.csv()))] == [
        a.prompt for a in findings.answers
    ]


def row_of(tokenizer, learned_from: int) -> dict[str, list[int]]:
    turns = [{"role": "user", "content": "the question"}, {"role": "assistant", "content": "the answer"}]
    ids = tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)["input_ids"]
    return {"input_ids": ids, "labels": [IGNORED] * learned_from + ids[learned_from:]}


def test_a_prompt_has_the_system_prompt_of_what_was_trained_on_whatever_the_held_out_data_has():
    sources = [{"source": "starter", "system": "Be kind."}, {"source": "held.jsonl", "use": "held_out"}]
    (found,) = prompts.written(["Hi"], toy_tokenizer(), parse({"data": {"sources": sources}}))
    assert "<|im_start|>system\nBe kind.<|im_end|>" in toy_tokenizer().decode(found.ids)


def test_a_question_is_found_in_a_row_that_is_learned_whole():
    tokenizer = toy_tokenizer()
    (found,) = prompts.of_rows([row_of(tokenizer, 0)], tokenizer, CONTEXT)
    assert (found.text, found.expected) == ("the question", "the answer")
    assert [found] == prompts.of_rows([row_of(tokenizer, len(found.ids))], tokenizer, CONTEXT)
    assert prompts.of_rows([row_of(tokenizer, 0)], tokenizer, len(found.ids)) == []
    assert prompts.of_rows([{"input_ids": [5, 6, 7], "labels": [5, 6, 7]}], tokenizer, CONTEXT) == []


def test_an_answer_ends_where_the_positions_of_the_model_do():
    tokenizer = toy_tokenizer()
    shape = {"n_positions": 16, "n_embd": 8, "n_layer": 1, "n_head": 1}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=0, **shape)).eval()
    assert len(answers(model, tokenizer, [[5] * 12, [5] * 3], 30)) == 2
    with pytest.raises(DataError, match="is 16 tokens long, and the model reads 16 with its answer"):
        answers(model, tokenizer, [[5] * 3, [5] * 16], 30)


@pytest.mark.process
def test_too_little_memory_is_said_in_words(trained, monkeypatch):
    def full(*asked):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(evaluation, "row_losses", full)
    with pytest.raises(ModelError, match="The memory of CPU is too small to compare toy with its base"):
        evaluate(trained)


@pytest.mark.process
def test_prompts_of_ones_own_and_a_checkpoint(trained):
    job = evaluate(trained, prompts=["Hi", "Bye"], step=4, longest_answer=4, most_rows=8)
    findings = read(job.files)
    assert [answer.prompt for answer in findings.answers] == ["Hi", "Bye"]
    assert (findings.held_out.rows, findings.general.rows) == (8, 8)


@pytest.mark.process
@pytest.mark.parametrize("method", ["full", "qlora", "qlora8", "dora"])
def test_whatever_was_trained_can_be_evaluated(toy, method):
    data = {"sources": [{"source": "starter", "limit": 40}, {"source": "starter", "split": "held_out", "limit": 12}]}
    run = train(new_folder(toy_recipe(toy, lora={"method": method}, data=data | {"eval_fraction": 0.2})))
    findings = read(evaluate(run, longest_answer=2).files)
    assert [found.name for found in findings.sets] == [
        "held-out rows",
        "starter (1)",
        "starter (2)",
        "everyday questions",
    ]
    assert findings.held_out.base.mean == pytest.approx(run.metrics.held_out_at[0], rel=0.02)
    assert findings.sets[1].rows + findings.sets[2].rows == findings.held_out.rows


@pytest.mark.process
def test_without_held_out_rows_the_general_ones_count_unless_they_were_trained_on(toy):
    rows = [json.dumps(row) for row in generate.rows("train")[:12]]
    write_whole(home.home() / "same.jsonl", "\n".join(rows[:3]))
    write_whole(home.home() / "more.jsonl", "\n".join(rows))
    data = {"sources": [{"source": "starter", "limit": 10}], "eval_fraction": 0}
    run = train(new_folder(toy_recipe(toy, data=data, training={"max_steps": 2, "eval_every": None})))
    with pytest.raises(DataError, match="has trained on every row of"):
        evaluate(run, general=str(home.home() / "same.jsonl"))
    job = evaluate(run, general=str(home.home() / "more.jsonl"), longest_answer=2)
    assert read(job.files).general.rows == 2
    assert job.result["why"].startswith(
        "No rows were held out, so nothing says if it helped. Too few rows to say: on 2"
    )


def test_what_cannot_be_evaluated_is_said(toy):
    with pytest.raises(JobError, match="is not there"):
        start.start("nothing", {})
    run = new_folder(toy_recipe(toy))
    with pytest.raises(JobError, match="neither a result nor a checkpoint yet"):
        start.start(run.id, {})
    with pytest.raises(JobError, match="most_rows: 1 is too small, it must be at least 8"):
        start.start(run.id, {"most_rows": 1})


def test_without_held_out_rows_it_says_so():
    assert Findings().sentences() == ["No rows were held out, so nothing says if it helped."]
    assert source_names({"sources": [{"source": "a", "config": "b"}, {"source": "c", "config": None}]}) == [
        "a b",
        "c",
    ]


@pytest.mark.process
def test_an_evaluation_is_a_job_of_its_own(trained):
    job = start.start(trained.id, {"longest_answer": 2})
    assert read_asked(job, Evaluation).run == trained.id
    assert launcher.wait(job, 120) == "finished"
    assert job.kind == "evaluate"
    assert follow.details(job)["findings"]["sets"][0]["rows"] == read(job.files).held_out.rows
    assert read(job.files).held_out.verdict == "better"


@pytest.mark.process
def test_known_tests_need_their_package(trained, monkeypatch):
    monkeypatch.setattr(start, "find_spec", lambda name: None)
    with pytest.raises(JobError, match="Install it with `pip install lm-eval`"):
        start.start(trained.id, {"tasks": ["arc_easy"]})


def test_the_scores_of_a_known_test_are_read_as_the_harness_writes_them():
    base = {"t": tasks._score({"alias": "t", "acc,none": 0.25, "acc_stderr,none": 0.01, "f1,none": 0.1})}
    tuned = {"t": tasks._score({"alias": "t", "acc,none": 0.5, "acc_stderr,none": "N/A"})}
    assert tasks.compared(base, tuned) == [TaskScore("t", "acc", 0.25, 0.01, 0.5, None)]
    assert tasks._score({"alias": "t"}) == ("no known measure", None, None)


@pytest.mark.process
def test_two_processes_measure_what_one_measures(toy):
    """Nine rows, so that one of them has a batch more."""
    data = {"sources": [{"source": "starter", "limit": 30}], "eval_fraction": 0.3}
    recipe = toy_recipe(toy, data=data, training={"max_steps": 2, "eval_every": 1, "accumulation": 1})
    alone = train(new_folder(recipe))
    two = recipe.model_copy(update={"launcher": recipe.launcher.model_copy(update={"processes": 2})})
    job = launcher.start(two)
    assert launcher.wait(job, 200) == "finished", job.result
    assert job.metrics.held_out_at.keys() == {0, 1, 2}
    assert job.metrics.held_out_at[0] == pytest.approx(alone.metrics.held_out_at[0], rel=1e-4)
