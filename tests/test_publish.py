"""Publishing: what lies on the Hub loads with the card's own lines and answers as in the studio, whatever goes wrong on the way."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi, ModelCard, hf_hub_download, set_client_factory

from core import home
from core.errors import HubError, JobError
from core.files import append_line, write_whole
from core.hub import patience, publication, publish, upload
from core.hub.publication import Publication
from core.hub.published import look
from core.hub.standing import standing
from core.inference.engine import Engine
from core.jobs import launcher
from core.jobs.asked import beside
from core.jobs.ending import can_resume
from core.jobs.folder import Job
from core.jobs.listing import find_job, known_job
from core.jobs.status import Status
from core.jobs.worker import Worker
from core.models import starter
from core.recipe_yaml import from_yaml, to_yaml
from tests.llama_cpp import llama_cpp
from tests.local_hub import Hub, local_hub
from tests.local_hub_repository import Snapshot
from tests.on_the_hub import speak_to
from tests.test_inference_parts import answer
from tests.toy_model import make_toy_model
from tests.toy_taught import WORDS, make_taught

pytestmark = pytest.mark.process

TOKEN = "hf_ann"
BASE = "base/toy"


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Iterator[Hub]:
    with local_hub(tmp_path_factory.mktemp("hub")) as found:
        make_toy_model(found.repository(f"models/{BASE}"))
        yield found


@pytest.fixture(scope="module")
def taught(hub, tmp_path_factory) -> Iterator[Job]:
    """A run on the Hub's toy model, in a home that stays for all tests of this file."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
        folder = hub.repository(f"models/{BASE}")
        yield make_taught(folder, BASE, Snapshot(folder).commit)


@pytest.fixture(autouse=True)
def signed_in(hub, taught, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("STUDIO_HOME", str(taught.folder.parents[1]))
    monkeypatch.setattr(upload, "WAITS_S", (0.0, 0.0))
    speak_to(hub, tmp_path / "hf", TOKEN, monkeypatch)


def asked_to_publish(run: Job, **asked) -> Job:
    """The job as the launcher makes it."""
    job = Job(home.job_folder(f"20260102-000000-publish-{len(list(home.jobs_folder().iterdir()))}"))
    job.folder.mkdir()
    write_whole(job.files.recipe, to_yaml(run.recipe))
    for name, text in beside("publish", Publication(run=run.id, **asked)).items():
        write_whole(job.folder / name, text)
    append_line(job.files.events, {"time": 2.0, "event": "created", "kind": "publish"})
    return job


def published(run: Job, **asked) -> Job:
    job = asked_to_publish(run, **asked)
    publish.run(Worker(job))
    return job


def files_in(hub: Hub, repository: str) -> dict[str, Path]:
    return Snapshot(hub.repository(f"models/{repository}")).files


def blocks(card: str) -> list[str]:
    """The programs in a card."""
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)


def run_plain(program: str, hub: Hub, folder: Path) -> str:
    """What a program prints that knows nothing of the studio."""
    environment = hub.environment(folder / "elsewhere", TOKEN) | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_what_the_command_line_publishes_loads_with_the_card_s_five_lines_and_answers_as_in_the_studio(
    hub, taught, tmp_path
):
    done = subprocess.run(
        [sys.executable, "-m", "core", "publish", "taught", "ann/first", "--json"],
        cwd=home.ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    job = known_job(json.loads(done.stdout)["id"])
    assert job.result["why"] == f"Published at {hub.url}/ann/first."
    assert find_job("taught") == taught  # the run keeps its name
    assert not job.files.made.exists()
    assert HfApi().model_info("ann/first").private

    files = files_in(hub, "ann/first")
    assert {"adapter_model.safetensors", "tokenizer.json", "README.md", "recipe.yaml", "loss.png"} <= files.keys()
    config = json.loads(files["adapter_config.json"].read_text())
    commit = Snapshot(hub.repository(f"models/{BASE}")).commit
    assert (config["base_model_name_or_path"], config["revision"]) == (BASE, commit)
    again = from_yaml(files["recipe.yaml"].read_text())
    assert (again.model.revision, again.data.sources[0].source) == (commit, "./lesson.jsonl")

    card = ModelCard.load("ann/first")
    card.validate()
    assert (card.data.base_model, card.data.base_model_relation, card.data.license) == (BASE, "adapter", None)
    (lines,) = blocks(card.text)
    assert len([line for line in lines.splitlines() if line]) == 5
    in_the_studio = answer(Engine(), hub.repository(f"models/{BASE}"), taught.final)
    assert run_plain(lines, hub, tmp_path).strip() == in_the_studio == WORDS


def test_publishing_again_updates_and_leaves_nothing_behind_that_is_in_the_way(hub, taught, tmp_path):
    assert standing("team/second") == "free"
    published(taught, repository="team/second", step=20)
    assert standing("team/second") == "private"
    assert "step 20" in hub.commits("models/team/second")[0].title
    (hub.repository("models/team/second") / "notes.txt").write_text("mine")
    published(taught, repository="team/second", what="both", precision="fp32", private=False)
    assert not HfApi().model_info("team/second").private
    assert standing("team/second") == "public"
    files = files_in(hub, "team/second")
    assert "adapter_config.json" not in files
    assert {"model.safetensors", "config.json", "adapter/adapter_config.json", "notes.txt"} <= files.keys()
    card = ModelCard.load("team/second")
    card.validate()
    assert (card.data.base_model_relation, card.data.library_name) == ("finetune", "transformers")
    merged, beside_base = blocks(card.text)
    asked = "import sys; sys.stdout.flush()\n" + beside_base + "\nprint(type(model).__name__)"
    said = run_plain(merged + "\n" + asked, hub, tmp_path).strip().splitlines()
    assert said == [WORDS, "PeftModelForCausalLM"]
    published(taught, repository="team/second", private=False)
    assert {"adapter_config.json", "notes.txt"} <= files_in(hub, "team/second").keys()
    assert "config.json" not in files_in(hub, "team/second")
    publish._open(Publication(run="another", repository="team/second"))
    assert not HfApi().model_info("team/second").private  # nobody asked for that


def test_a_gguf_file_is_published_with_its_card_and_is_no_model_for_a_space(hub, taught):
    published(taught, repository="ann/small", what="gguf", precision="q4_1")
    files = files_in(hub, "ann/small")
    assert {"README.md", "recipe.yaml", "Modelfile", "taught-Q4_1.gguf"} <= files.keys()
    assert not {"config.json", "model.safetensors", "adapter_config.json"} & files.keys()
    assert files["template"].read_text() in files["Modelfile"].read_text()
    assert json.loads(files["params"].read_text())["stop"][-1] == "<|im_end|>"
    card = ModelCard.load("ann/small")
    card.validate()
    assert "llama-server -hf ann/small" in card.text
    with llama_cpp(files["taught-Q4_1.gguf"]) as read:
        assert read.answer("Hi") == WORDS
    with pytest.raises(HubError, match="is a GGUF file, which a Space"):
        look("ann/small")


def test_a_transfer_that_breaks_off_goes_on_and_sends_nothing_twice(hub, taught, monkeypatch):
    monkeypatch.setattr(upload, "LARGE_BYTES", 1000)
    job = asked_to_publish(taught, repository="ann/broken", what="merged")
    with hub.failing(500, "/commit/"), pytest.raises(HubError, match="The Hub answered 500 when asked for ann/broken"):
        publish.run(Worker(job))
    assert files_in(hub, "ann/broken").keys() == {".gitattributes"}
    sent = len([line for line in hub.requests if line.startswith("PUT")])
    merged = (job.files.made / "merged" / "model.safetensors").stat().st_mtime_ns
    job.files.result.unlink(missing_ok=True)
    publish.run(Worker(job))
    assert len([line for line in hub.requests if line.startswith("PUT")]) == sent
    assert [event["event"] for event in job.events].count("merged") == 1
    assert merged
    assert "model.safetensors" in files_in(hub, "ann/broken")


@pytest.mark.parametrize(
    ("trouble", "repository", "said"),
    [
        ({"where": "/whoami", "status": 401}, "ann/x", "does not accept this token"),
        ({"where": "/repos/create", "status": 403}, "ann/x", "does not let this token change ann/x"),
        ({"where": "/preupload", "status": 403}, "ann/x", "does not let this token change ann/x"),
        ({"where": "/commit/", "status": 429}, "ann/x", "asked too often"),
        ({"where": "/commit/", "status": 409}, "ann/x", "changed on the Hub by somebody else"),
        ({"where": "/commit/", "cut_after": 50}, "ann/x", "was cut while it was asked for ann/x"),
        ({"where": "/commit/", "delay_s": 3}, "ann/x", "did not answer in time"),
    ],
)
def test_each_trouble_ends_in_one_clear_sentence(hub, taught, monkeypatch, trouble, repository, said):
    monkeypatch.setattr(upload, "WAITS_S", ())
    monkeypatch.setattr(patience, "PATIENCE", 1)
    set_client_factory(patience.client)
    with hub.trouble(**trouble), pytest.raises(HubError, match=said) as raised:
        published(taught, repository=repository)
    assert TOKEN not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_trouble_that_passes_is_borne(hub, taught, status):
    with hub.trouble(where="/commit/", status=status, times=2):
        published(taught, repository=f"ann/borne-{status}")
    assert "README.md" in files_in(hub, f"ann/borne-{status}")


def test_a_commit_whose_answer_is_lost_is_made_again(hub, taught, monkeypatch):
    api, lost = HfApi(), []
    api.create_repo("ann/lost")
    api.upload_file(path_or_fileobj=b"old", path_in_repo="old.txt", repo_id="ann/lost")
    real = hub._app

    async def unheard(scope, receive, send):
        async def lose(message):
            lost.append(message)
            receive.__self__.transport.close()

        await real(scope, receive, send if "/commit/" not in scope["path"] or lost else lose)

    monkeypatch.setattr(hub, "_app", unheard)
    upload.Upload("ann/lost", {"new.txt": b"new"}, ["old.txt"], "Publish").bring(lambda *progress: None)
    assert lost
    assert files_in(hub, "ann/lost").keys() == {".gitattributes", "new.txt"}


def test_where_a_token_may_not_write_it_says_where_it_may_before_anything_is_made(hub, taught, tmp_path, monkeypatch):
    with pytest.raises(HubError, match="may not write to bob/x: it may write to ann and team"):
        published(taught, repository="bob/x")
    speak_to(hub, tmp_path / "hf", "hf_ann_read", monkeypatch)
    with pytest.raises(HubError, match="it may write to nowhere"):
        published(taught, repository="ann/x")
    speak_to(hub, tmp_path / "hf", None, monkeypatch)
    with pytest.raises(HubError, match="must know who you are"):
        published(taught, repository="ann/x")


def test_a_repository_with_other_things_in_it_is_left_alone(hub, taught):
    (hub.repository("models/ann/thesis") / "thesis.pdf").write_bytes(b"%PDF")
    with pytest.raises(HubError, match="ann/thesis holds something that was not published from here"):
        published(taught, repository="ann/thesis")
    (hub.repository("models/ann/other") / "published.json").write_text("[]")
    with pytest.raises(HubError, match="is not ours"):
        published(taught, repository="ann/other")
    assert files_in(hub, "ann/thesis").keys() == {"thesis.pdf"}


def test_what_cannot_be_published_is_said_at_once(hub, taught, tmp_path):
    for name in ("no-owner", "ann/..", "a/b/c", "ann/ü"):
        with pytest.raises(JobError, match="owner/name"):
            publication.start(taught.id, {"repository": name})
    with pytest.raises(JobError, match="no usable checkpoint of step 7"):
        publication.start(taught.id, {"repository": "ann/x", "step": 7})
    alone = make_taught(hub.repository(f"models/{BASE}"), None, name="alone", training={"max_steps": 1})
    with pytest.raises(JobError, match=r"its adapter alone cannot be loaded elsewhere\. Publish it merged"):
        publication.start(alone.id, {"repository": "ann/x"})
    job = published(alone, repository="ann/alone", what="merged")
    assert ModelCard.load("ann/alone").data.base_model is None
    for file in files_in(hub, "ann/alone").values():
        assert str(tmp_path.parent).encode() not in file.read_bytes()
    assert job.result["status"] == "finished"


def test_the_starter_is_named_as_on_the_hub_with_its_licence(hub, taught):
    run = make_taught(hub.repository(f"models/{BASE}"), None, name="starter-run", training={"max_steps": 1})
    values = run.recipe.model_dump(mode="json") | {"model": {"source": "starter"}}
    write_whole(run.files.recipe, to_yaml(type(run.recipe).model_validate(values)))
    folder = home.starter_folder()
    make_toy_model(folder)
    write_whole(folder / "origin.json", json.dumps({"from": "wheel", "sha256": "0" * 64}))
    published(Job(run.folder), repository="ann/starter")
    card = ModelCard.load("ann/starter")
    card.validate()
    assert (card.data.base_model, card.data.license) == (starter.HUB_ID, "apache-2.0")
    config = json.loads(Path(hf_hub_download("ann/starter", "adapter_config.json")).read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == (starter.HUB_ID, None)


def test_the_licence_of_a_base_that_nobody_knows_is_that_of_its_card(hub, taught):
    (hub.repository(f"models/{BASE}") / "README.md").write_text(
        "---\nlicense: other\nlicense_name: toy-licence\nlicense_link: LICENSE\n---\n"
    )
    try:
        run = make_taught(hub.repository(f"models/{BASE}"), BASE, None, name="licensed", training={"max_steps": 1})
        published(run, repository="ann/licensed")
    finally:
        (hub.repository(f"models/{BASE}") / "README.md").unlink()
    card = ModelCard.load("ann/licensed")
    card.validate()
    assert (card.data.license, card.data.license_name, card.data.license_link) == ("other", "toy-licence", "LICENSE")


def test_a_stopped_job_goes_on_and_the_token_is_in_no_file_and_no_argument(hub, taught):
    """In a process of its own, stopped while the Hub is silent. The home has the files of all other tests as well."""
    with hub.trouble(where="/commit/", delay_s=60):
        job = publication.start(taught.id, {"repository": "team/slow"}, "hf_ann_team")
        until = time.monotonic() + 60
        while not any("team/slow/commit" in line for line in hub.requests) and time.monotonic() < until:
            time.sleep(0.1)
        arguments = Path(f"/proc/{job.worker.pid}/cmdline").read_bytes()
        launcher.stop(job)
        assert launcher.wait(job, 60) is Status.STOPPED
    assert "Stopped before anything was changed on the Hub" in job.result["why"]
    assert can_resume(job)
    launcher.resume(job, token="hf_ann_team")
    assert launcher.wait(job, 60) is Status.FINISHED
    assert "README.md" in files_in(hub, "team/slow")
    assert b"hf_" not in arguments
    written = [file for file in home.home().rglob("*") if file.is_file()]
    assert job.files.log in written
    for file in written:
        assert not re.search(rb"hf_(ann|bob)", file.read_bytes()), file
