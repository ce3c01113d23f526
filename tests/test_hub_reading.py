"""Models and data from the Hub, by the real clients against a local Hub: pinned, or refused in a sentence."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from core import home
from core.data import prepare
from core.jobs import launcher
from core.jobs.listing import find_job
from core.jobs.status import Status
from core.recipe import parse
from tests.local_hub import NO_HUB, client_environment, local_hub
from tests.test_jobs import new_job
from tests.toy_model import make_toy_model

pytestmark = pytest.mark.process

# The clients read HF_ENDPOINT once, at import, so what is asked runs in a process of its own: one for many questions.
ASK = """
import json, sys
from core.data import hub, sources
from core.errors import StudioError
from core.recipe_data import Source

def answer(kind, source, **settings):
    if kind == "data":
        rows, commit = hub.load(Source(source=source, **settings))
        return {"rows": len(rows), "commit": commit, "columns": rows.column_names}
    if kind == "rows":
        opened = sources.open_source(Source(source=source, **settings))
        return {"commit": opened.fingerprint, "rows": [[row.where, row.values] for row in opened.rows]}
    from core.models.load import fetch, load_tokenizer  # seconds of imports that only a model needs
    found = fetch(source, weights=settings.pop("weights", True), **settings)
    files = sorted(path.name for path in found.folder.iterdir())
    return {"commit": found.revision, "files": files, "vocabulary": len(load_tokenizer(found))}

for kind, source, settings in json.loads(sys.argv[1]):
    try:
        said = answer(kind, source, **settings)
    except StudioError as error:
        said = {"error": str(error)}
    print("ANSWER" + json.dumps(said), flush=True)
"""


def ask(environment: dict[str, str], *questions) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(questions)],
        cwd=home.ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line.removeprefix("ANSWER")) for line in done.stdout.splitlines() if line.startswith("ANSWER")]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with local_hub(tmp_path_factory.mktemp("hub")) as running:
        make_toy_model(running.repository("models/me/tiny"))
        (running.repository("models/me/tiny") / "modeling_evil.py").write_text("raise SystemExit('code ran')")
        make_toy_model(running.repository("models/meta-llama/Llama-3.2-1B-Instruct"))
        (running.repository("models/meta-llama/Llama-3.2-1B-Instruct") / ".gated").write_text("")
        rows = [{"instruction": f"Say {n}", "output": str(n)} for n in range(30)]
        for name in ("rows", "closed"):
            (running.repository(f"datasets/me/{name}") / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (running.repository("datasets/me/closed") / ".gated").write_text("")
        yield running


def test_models_and_data_are_read_pinned_and_refusals_are_sentences(hub, tmp_path):
    whole, light, gated, nobody, revision, rows, closed, unknown, split = ask(
        hub.environment(tmp_path) | {"STUDIO_HOME": str(tmp_path / "home")},
        ("model", "me/tiny", {}),
        ("model", "me/tiny", {"weights": False}),
        ("model", "meta-llama/Llama-3.2-1B-Instruct", {}),
        ("model", "me/nobody", {}),
        ("model", "me/tiny", {"revision": "v9"}),
        ("data", "me/rows", {"limit": 20}),
        ("data", "me/closed", {}),
        ("data", "me/nobody", {}),
        ("data", "me/rows", {"split": "exam"}),
    )
    assert len(whole["commit"]) == 40
    assert "model.safetensors" in whole["files"]
    assert "modeling_evil.py" not in whole["files"]
    assert light["vocabulary"] == whole["vocabulary"]
    assert "is gated. Accept the licence at" in gated["error"]
    assert "use the ungated mirror unsloth/Llama-3.2-1B-Instruct" in gated["error"]
    assert "no repository me/nobody" in nobody["error"]
    assert "has no revision 'v9'" in revision["error"]
    assert (rows["rows"], len(rows["commit"]), rows["columns"]) == (20, 40, ["instruction", "output"])
    assert "The data set me/closed is gated" in closed["error"]
    assert "no data set me/nobody" in unknown["error"]
    assert "exam" in split["error"]


def test_what_was_fetched_once_is_found_without_the_hub(hub, tmp_path):
    environment = hub.environment(tmp_path) | {"STUDIO_HOME": str(tmp_path / "home")}
    before = ask(environment, ("model", "me/tiny", {}), ("data", "me/rows", {}))
    offline = client_environment(NO_HUB, tmp_path) | {"STUDIO_HOME": str(tmp_path / "home")}
    model, data, split, missing = ask(
        offline,
        ("model", "me/tiny", {}),
        ("data", "me/rows", {"limit": 20}),
        ("data", "me/rows", {"split": "exam"}),
        ("model", "me/other", {}),
    )
    assert model == before[0]
    assert data == before[1] | {"rows": 20}
    assert "exam" in split["error"]
    assert "me/other is not on this machine, and the Hub cannot be reached" in missing["error"]


def test_without_the_hub_a_revision_is_kept_to_or_refused(hub, tmp_path):
    folder = hub.repository("datasets/me/growing")
    (folder / "train.jsonl").write_text('{"text": "One."}\n')
    environment = hub.environment(tmp_path) | {"STUDIO_HOME": str(tmp_path / "home")}
    (first,) = ask(environment, ("data", "me/growing", {}))
    (folder / "train.jsonl").write_text('{"text": "One."}\n{"text": "Two."}\n')
    (second,) = ask(environment, ("data", "me/growing", {}))
    offline = client_environment(NO_HUB, tmp_path) | {"STUDIO_HOME": str(tmp_path / "home")}
    newest, at_first, nowhere, tag = ask(
        offline,
        ("data", "me/growing", {}),
        ("data", "me/growing", {"revision": first["commit"]}),
        ("data", "me/growing", {"revision": "0" * 40}),
        ("data", "me/growing", {"revision": "v1"}),
    )
    assert newest == second
    assert at_first == first
    assert f"only the commit {second['commit']} of me/growing is on this machine, not {'0' * 40}" in nowhere["error"]
    assert "is on this machine, not v1" in tag["error"]


def test_of_a_repository_with_a_program_its_files_are_read_and_the_program_never_runs(hub, tmp_path):
    folder = hub.repository("datasets/me/exam")
    (folder / "exam.py").write_text("raise SystemExit('code ran')")
    for task in ("proof", "oath"):
        (folder / "data" / task).mkdir(parents=True)
        (folder / "data" / task / "test.tsv").write_text(
            f"index\tanswer\ttext\n0\tYes\tIs it {task}?\n1\tNo\tOr not?\n"
        )
    environment = hub.environment(tmp_path) | {"STUDIO_HOME": str(tmp_path / "home")}
    named = {"file": "data/{config}/{split}.tsv", "split": "test"}
    program, rows, limited, missing, nothing = ask(
        environment,
        ("data", "me/exam", {"config": "oath", "split": "test"}),
        ("rows", "me/exam", named | {"config": "oath"}),
        ("rows", "me/exam", named | {"config": "proof", "limit": 1}),
        ("rows", "me/exam", named | {"config": "vow"}),
        ("rows", "me/exam", named),
    )
    assert "me/exam needs a program of its own to be read, and data sets never run code here" in program["error"]
    assert rows["rows"] == [
        ["test.tsv, line 2", {"index": "0", "answer": "Yes", "text": "Is it oath?"}],
        ["test.tsv, line 3", {"index": "1", "answer": "No", "text": "Or not?"}],
    ]
    assert len(rows["commit"]) == 40 and [row[1]["text"] for row in limited["rows"]] == ["Is it proof?"]
    assert "me/exam has no file data/vow/test.tsv. Check" in missing["error"]
    assert "nothing stands for {config}" in nothing["error"]
    offline = client_environment(NO_HUB, tmp_path) | {"STUDIO_HOME": str(tmp_path / "home")}
    again, pinned, elsewhere = ask(
        offline,
        ("rows", "me/exam", named | {"config": "oath"}),
        ("rows", "me/exam", named | {"config": "oath", "revision": rows["commit"]}),
        ("rows", "me/exam", named | {"config": "oath", "revision": "0" * 40}),
    )
    assert again == pinned == rows
    assert f"is not on this machine at the revision {'0' * 40}" in elsewhere["error"]


def test_an_unknown_configuration_or_split_is_answered_with_those_there_are(hub, tmp_path):
    folder = hub.repository("datasets/me/parts")
    for part in ("one", "two"):
        (folder / f"{part}.jsonl").write_text('{"text": "x"}\n')
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        + "".join(f"- config_name: {part}\n  data_files: {part}.jsonl\n" for part in ("one", "two"))
        + "---\n"
    )
    unknown, none, split = ask(
        hub.environment(tmp_path) | {"STUDIO_HOME": str(tmp_path / "home")},
        ("data", "me/parts", {"config": "three"}),
        ("data", "me/parts", {}),
        ("data", "me/parts", {"config": "one", "split": "exam"}),
    )
    assert "me/parts has no configuration 'three'; there are: one, two." in unknown["error"]
    assert "me/parts has several configurations: one, two." in none["error"]
    assert "me/parts has no split 'exam'; there are: train." in split["error"]


def test_a_hub_in_trouble_is_a_sentence(hub, tmp_path):
    environment = hub.environment(tmp_path) | {"STUDIO_HOME": str(tmp_path / "home")}
    with hub.failing(503, where="/api/"):
        model, data = ask(environment, ("model", "me/tiny", {}), ("data", "me/rows", {}))
    assert "me/tiny is not on this machine, and the Hub cannot be reached or is in trouble" in model["error"]
    assert "me/rows is not on this machine and the Hub cannot be reached or is in trouble" in data["error"]


def test_a_resumed_run_keeps_to_the_commits_it_began_with(hub, studio_home, tmp_path):
    model, data = hub.repository("models/me/moving"), hub.repository("datasets/me/moving")
    make_toy_model(model)
    rows = [{"instruction": f"Say {n}", "output": str(n)} for n in range(20)]
    (data / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: moving\nmodel: {source: me/moving}\ndata: {sources: [{source: me/moving}]}\n"
        "training: {max_steps: 100000, batch: 1, accumulation: 1}\ncheckpoints: {every_steps: 2}\n"
    )
    environment = hub.environment(tmp_path) | {"STUDIO_HOME": str(studio_home), "OMP_NUM_THREADS": "1"}
    job = trained_a_little(environment, "train", str(recipe), "--detach")
    before = job.resolved
    for folder in (model, data):
        shutil.copytree(folder, folder.with_name("moving@before"))
        (folder / "README.md").write_text("Something new")
    shutil.rmtree(home.prepared_folder())
    resumed = trained_a_little(environment, "resume", job.id, "--detach")
    assert {name: resumed.resolved[name] for name in ("model", "data")} == {
        name: before[name] for name in ("model", "data")
    }


def test_a_run_begun_without_the_hub_goes_on_with_it(hub, studio_home, tmp_path):
    model = make_toy_model(tmp_path / "toy")
    rows = [{"instruction": f"Say {n}", "output": str(n)} for n in range(20)]
    (hub.repository("datasets/me/near") / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: near\nmodel: {{source: {model}}}\ndata: {{sources: [{{source: me/near}}]}}\n"
        "training: {max_steps: 100000, batch: 1, accumulation: 1}\ncheckpoints: {every_steps: 2}\n"
    )
    own = {"STUDIO_HOME": str(studio_home), "OMP_NUM_THREADS": "1"}
    (fetched,) = ask(hub.environment(tmp_path) | own, ("data", "me/near", {}))
    job = trained_a_little(client_environment(NO_HUB, tmp_path) | own, "train", str(recipe), "--detach")
    assert job.resolved["data"] == [{"source": "me/near", "fingerprint": fetched["commit"]}]
    resumed = trained_a_little(hub.environment(tmp_path) | own, "resume", job.id, "--detach")
    assert resumed.resolved["data"] == job.resolved["data"]


@pytest.mark.parametrize("known", ["cached", None, "sha256:abc"])
def test_what_is_no_commit_pins_nothing(known):
    recipe = parse({"data": {"sources": [{"source": "me/rows", "revision": "v1"}]}})
    worker = new_job("20260101-000000-pin", "train", recipe)
    worker.resolve(data=[{"source": "me/rows", "fingerprint": known}])
    assert [source.revision for source in prepare._pinned(worker.job)] == ["v1"]
    worker.resolve(data=[{"source": "me/rows", "fingerprint": "a" * 40}])
    assert [source.revision for source in prepare._pinned(worker.job)] == ["a" * 40]


def trained_a_little(environment: dict[str, str], *words: str):
    """The job of a command after some steps more, stopped."""
    done = subprocess.run(
        [sys.executable, "-m", "core", *words],
        cwd=home.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    job = find_job(done.stdout.strip())
    already = job.metrics.step
    while job.metrics.step < already + 4:
        assert job.status.live, (job.result, job.log_tail())
        time.sleep(0.05)
    launcher.stop(job)
    assert launcher.wait(job, 60) is Status.STOPPED
    return job
