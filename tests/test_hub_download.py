"""Downloads from the Hub by the real client: how far they are, what they need, what is kept when one is killed, whose code runs."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core import home
from core.errors import RecipeError
from core.jobs.listing import find_job
from core.recipe import parse
from tests.local_hub import local_hub
from tests.test_local_hub import write
from tests.toy_model import make_toy_model

pytestmark = pytest.mark.process

BIG = bytes(range(256)) * 96_000  # 25 MB: the client writes ten at a time
FETCH = """
import json, sys
from core.errors import StudioError
from core.hub.download import Wanted, fetch
from core.recipe_data import Source

def told(what, done, total):
    print("TOLD" + json.dumps([what, done, total]), flush=True)

kind, source = sys.argv[1:]
try:
    if kind == "data":
        from core.data import hub
        said = len(hub.load(Source(source=source), told)[0])
    else:
        said = str(fetch(Wanted(source, None, ["*.safetensors", "*.json"]), told))
except StudioError as error:
    said = str(error)
print("SAID" + json.dumps(said), flush=True)
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        write(hub.repository("models/me/big"), {"config.json": "{}"})
        (hub.repository("models/me/big") / "w.safetensors").write_bytes(BIG)
        rows = "".join(json.dumps({"text": f"Row {n}"}) + "\n" for n in range(3000))
        write(hub.repository("datasets/me/rows"), {"train.jsonl": rows, "README.md": "# Rows"})
        yield hub


def begun(environment, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, *words], cwd=home.ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )


def fetched(environment, *words: str) -> tuple[str, list[tuple[int, int]]]:
    """What a download ended with, and how far it said it was on the way: (done, total)."""
    told, said = begun(environment, *words).communicate(timeout=120)[0].rpartition("SAID")[::2]
    steps = [json.loads(line.removeprefix("TOLD"))[1:] for line in told.splitlines() if line.startswith("TOLD")]
    return json.loads(said), [tuple(step) for step in steps]


@pytest.mark.parametrize(("kind", "source"), [("model", "me/big"), ("data", "me/rows")])
def test_a_download_says_how_far_it_is_of_all_that_is_missing(hub, tmp_path, kind, source):
    environment = hub.environment(tmp_path)
    said, steps = fetched(environment, kind, source)
    done, totals = zip(*steps, strict=True)
    assert list(done) == sorted(done) and len(set(totals)) == 1 and done[-1] == totals[0]
    again, nothing = fetched(environment, kind, source)
    assert (again, nothing) == (said, [])


def test_what_was_fetched_while_signed_in_is_still_there_after_signing_out(hub, tmp_path):
    write(hub.repository("models/ann/mine"), {"config.json": "{}", ".private": ""})
    stranger, _ = fetched(hub.environment(tmp_path), "model", "ann/mine")
    ann, _ = fetched(hub.environment(tmp_path, token="hf_ann"), "model", "ann/mine")
    afterwards, _ = fetched(hub.environment(tmp_path), "model", "ann/mine")
    assert stranger.startswith("The Hub has no repository ann/mine, or it is private.")
    assert afterwards == ann and (Path(ann) / "config.json").exists()


def test_a_file_that_the_hub_does_not_give_is_a_sentence(hub, tmp_path):
    with hub.trouble(where="/w.safetensors", status=403):
        said, _ = fetched(hub.environment(tmp_path), "model", "me/big")
    assert said.startswith("The Hub does not let this token read me/big. Sign in with one that may;")


@pytest.mark.parametrize("left", ["as it was", "damaged"])
def test_a_download_that_was_killed_goes_on_where_it_was_in_another_process(hub, tmp_path, left):
    environment, blobs = hub.environment(tmp_path), tmp_path / "hub/models--me--big/blobs"
    with hub.trouble(where="/w.safetensors", method="GET", bytes_per_s=20_000_000):
        process = begun(environment, "model", "me/big")
        part = wait_for(lambda: next((p for p in blobs.glob("*.incomplete") if size_of(p) > 10_000_000), None))
        process.kill()
        process.wait()
    size = part.stat().st_size
    if left == "damaged":
        part.write_bytes(b"0" * size)
    said, steps = fetched(environment, "model", "me/big")
    assert (Path(said) / "w.safetensors").read_bytes() == BIG
    assert list(blobs.glob("*.incomplete")) == []
    assert steps[0][0] > size  # it went on after what was there; what could not be used came anew
    assert (steps == sorted(steps)) is (left == "as it was")


def test_a_download_without_room_is_refused_before_it_begins(hub, tmp_path, small_disk):
    asked = len(hub.requests)
    said, _ = fetched(hub.environment(small_disk), "model", "me/big")
    needs = f"me/big needs 0.0 GB of disk, and {small_disk / 'hub'} has 0.0 GB free. Make space there, or set HF_HOME"
    assert said.startswith(needs)
    assert not any(request.startswith("GET /me/big/resolve") for request in hub.requests[asked:])


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def size_of(part: Path) -> int:
    """0 for one that is whole by now, and has its own name."""
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def wait_for(look, longest_s: float = 60):
    end = time.monotonic() + longest_s
    while not (found := look()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return found


# A model that transformers does not know: its architecture is in two files beside its weights.
OWN_CODE = {
    "configuration_own.py": """
from transformers import LlamaConfig

class OwnConfig(LlamaConfig):
    model_type = "own"
""",
    "modeling_own.py": """
from transformers import LlamaForCausalLM
from .configuration_own import OwnConfig

print("the model's own code runs")

class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
""",
}
AUTO_MAP = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}


@pytest.fixture(scope="module")
def own(hub):
    """A model with code of its own, and its commit; another whose code lies in somebody else's repository."""
    for name, prefix in (("own", ""), ("strange", "else/where--")):
        folder = make_toy_model(hub.repository(f"models/me/{name}"))
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "own", "architectures": ["OwnForCausalLM"]}
        config |= {"auto_map": {key: prefix + value for key, value in AUTO_MAP.items()}}
        write(folder, OWN_CODE | {"config.json": json.dumps(config)})
    return hub


def test_code_of_a_model_may_only_run_at_a_commit_of_the_hub():
    for source, revision in (("me/own", None), ("me/own", "main"), ("me/own", "abc123"), ("starter", "a" * 40)):
        with pytest.raises(RecipeError, match=r"model\.trust_remote_code: "):
            parse({"model": {"source": source, "revision": revision, "trust_remote_code": True}})
    assert parse({"model": {"source": "me/own", "revision": "a" * 40, "trust_remote_code": True}})


ASK = """
import json, sys
import torch
from huggingface_hub import HfApi
from core.errors import StudioError
from core.inference.choices import Target
from core.inference.prompt import read
from core.inference.protocol import Message
from core.models.load import fetch, load_base

def load(source, revision, code):
    try:
        found = fetch(source, revision, code=code)
        read(Target(source, revision, code=code), [Message(role="user", content="Hi")])
        return type(load_base(found, torch.float32, "cpu")).__name__
    except StudioError as error:
        return str(error)

commit = {name: HfApi().model_info(f"me/{name}").sha for name in ("own", "strange")}
print("ANSWER" + json.dumps([
    commit["own"],
    load("me/own", commit["own"], False),
    load("me/own", "main", True),
    load("me/own", commit["own"], True),
    load("me/strange", commit["strange"], True),
]))
"""


def test_code_of_a_model_runs_when_the_recipe_trusts_that_commit_and_never_else(own, tmp_path, studio_home):
    environment = own.environment(tmp_path) | {"STUDIO_HOME": str(studio_home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=home.ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    before, answer = done.stdout.split("ANSWER")
    commit, unasked, branch, trusted, strange = json.loads(answer)
    assert "which never run unasked" in unasked and f"model.revision to {commit}." in unasked
    assert branch == "The code of me/own may only run at a full commit, given as model.revision."
    assert trusted == "OwnForCausalLM" and before.count("the model's own code runs") == 1
    assert strange.startswith("me/strange would run code of another repository, else/where")

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {{source: me/own, revision: {commit}, trust_remote_code: true}}\ntraining: {{max_steps: 2, batch: 1}}\n"
        "data: {sources: [{source: starter, limit: 30}]}\n"
    )
    trained = subprocess.run(
        [sys.executable, "-m", "core", "train", str(recipe)],
        cwd=home.ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stdout + trained.stderr
    job = find_job("my-run")
    assert "the model's own code runs" in job.log_tail()
    assert any("runs code of its own here" in event.get("text", "") for event in job.events)
