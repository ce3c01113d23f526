"""The real clients against the local Hub: what they load from it, and what they say when it refuses or fails."""

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.local_hub import NO_HUB, client_environment, local_hub

ROOT = Path(__file__).resolve().parent.parent
ROWS = [{"question": f"{number} + 1?", "answer": number + 1} for number in range(10)]
TINY = {"config.json": "now", "deep/notes.txt": "0123456789", "w.safetensors": "w"}

pytestmark = pytest.mark.process

# Each process imports its client once and asks everything; `outcome` turns a refusal into its class and status.
OUTCOME = """
import json

def outcome(ask):
    try:
        return ask()
    except Exception as error:
        return [type(error).__name__, getattr(getattr(error, "response", None), "status_code", None)]
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        write(hub.repository("models/me/tiny"), TINY)
        write(hub.repository("models/me/tiny@v1"), {"config.json": "then"})
        write(hub.repository("models/me/gated"), {"config.json": "secret", ".gated": "ann\n"})
        write(hub.repository("datasets/me/rows"), {"train.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS)})
        write(hub.repository("datasets/me/gated"), {"train.jsonl": "{}", ".gated": ""})
        table = hub.repository("datasets/me/table") / "train.parquet"
        pyarrow.parquet.write_table(pa.Table.from_pylist(ROWS), table)
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A cache that the module's processes share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def seen(hub, home):
    """What one process of plain `huggingface_hub` got."""
    script = """
        from pathlib import Path
        from huggingface_hub import HfApi, HfFileSystem, get_hf_file_metadata, hf_hub_download, hf_hub_url, snapshot_download
        api = HfApi(token=False)

        def texts(repository, **settings):
            folder = Path(snapshot_download(repository, **settings))
            return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}

        old = api.model_info("me/tiny", revision="v1").sha
        print(json.dumps({
            "info": api.model_info("me/tiny").sha,
            "header": get_hf_file_metadata(hf_hub_url("me/tiny", "config.json")).commit_hash,
            "sizes": {file.rfilename: file.size for file in api.model_info("me/tiny", files_metadata=True).siblings},
            "top": [entry.path for entry in api.list_repo_tree("me/tiny")],
            "deep": [entry.path for entry in api.list_repo_tree("me/tiny", "deep", recursive=True)],
            "paths": [entry.path for entry in api.get_paths_info("me/tiny", ["deep", "w.safetensors", "none"])],
            "part": HfFileSystem().cat_file("me/tiny/deep/notes.txt", start=2, end=5).decode(),
            "now": texts("me/tiny"),
            "tag": texts("me/tiny", revision="v1"),
            "pinned": texts("me/tiny", revision=old),
            "no repository": outcome(lambda: texts("me/none")),
            "no owner": outcome(lambda: texts("none")),
            "no revision": outcome(lambda: texts("me/tiny", revision="v9")),
            "no file": outcome(lambda: hf_hub_download("me/tiny", "none.json")),
            "no folder": outcome(lambda: list(api.list_repo_tree("me/tiny", "none"))),
            "gated": api.model_info("me/gated").gated,
            "no repository for ann": outcome(lambda: texts("me/none", token="hf_ann")),
            "stranger": outcome(lambda: texts("me/gated", token=False)),
            "not accepted": outcome(lambda: texts("me/gated", token="hf_bob")),
            "accepted": outcome(lambda: texts("me/gated", token="hf_ann")),
            "whoami": api.whoami(token="hf_ann")["name"],
            "bad whoami": outcome(lambda: api.whoami(token="stolen")),
            "bad info": outcome(lambda: api.model_info("me/tiny", token="stolen")),
        }))
    """
    return client(script, hub.environment(home))


def test_a_model_is_described_and_downloaded_at_one_commit(seen):
    assert seen["info"] == seen["header"] and len(seen["info"]) == 40
    assert seen["now"] == TINY
    assert seen["sizes"] == {name: len(text) for name, text in TINY.items()}


def test_files_are_listed_by_folder_and_by_path(seen):
    assert seen["top"] == ["config.json", "deep", "w.safetensors"]
    assert seen["deep"] == ["deep/notes.txt"]
    assert seen["paths"] == ["deep", "w.safetensors"]


def test_a_part_of_a_file_can_be_read(seen):
    assert seen["part"] == "234"


def test_a_tag_and_its_commit_keep_what_they_held_when_main_moved_on(seen):
    assert seen["tag"] == seen["pinned"] == {"config.json": "then"}


def test_what_is_not_there_is_refused_by_what_is_missing(seen):
    assert seen["no repository"] == seen["no owner"] == ["RepositoryNotFoundError", 401]
    assert seen["no repository for ann"] == ["RepositoryNotFoundError", 404]
    assert seen["no revision"] == ["RevisionNotFoundError", 404]
    assert seen["no file"] == seen["no folder"] == ["RemoteEntryNotFoundError", 404]


def test_a_gated_repository_opens_only_to_those_who_accepted(seen):
    assert seen["gated"] == "auto"
    assert seen["stranger"] == ["GatedRepoError", 401]
    assert seen["not accepted"] == ["GatedRepoError", 403]
    assert seen["accepted"] == {"config.json": "secret"}


def test_a_token_belongs_to_its_user_and_a_bad_one_opens_nothing(seen):
    assert seen["whoami"] == "ann"
    assert seen["bad whoami"] == seen["bad info"] == ["HfHubHTTPError", 401]


@pytest.mark.parametrize("down", ["failing", "unreachable"])
def test_without_a_working_hub_only_what_was_downloaded_opens(hub, home, seen, down):
    script = """
        from pathlib import Path
        from huggingface_hub import snapshot_download
        print(json.dumps({
            "cached": Path(snapshot_download("me/tiny")).name,
            "pinned": Path(snapshot_download("me/tiny", revision="%s")).name,
            "new": outcome(lambda: snapshot_download("me/never")),
        }))
    """
    environment = hub.environment(home) if down == "failing" else client_environment(NO_HUB, home)
    with hub.failing(503):
        got = client(script % seen["info"], environment)
    assert got["cached"] == got["pinned"] == seen["info"]
    assert got["new"] == ["LocalEntryNotFoundError", None]


def test_transformers_loads_a_tokenizer_and_a_model_by_name_and_by_commit(hub, home):
    script = """
        from pathlib import Path
        from huggingface_hub import HfApi
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from tests.toy_model import make_toy_model
        hub = Path("%s")
        main, earlier = make_toy_model(hub / "models/me/toy"), make_toy_model(hub / "models/me/toy@v1", seed=8)
        commit = HfApi().model_info("me/toy", revision="v1").sha
        weights = lambda source, at="main": AutoModelForCausalLM.from_pretrained(source, revision=at).lm_head.weight
        hello = [{"role": "user", "content": "hello"}]
        print(json.dumps({
            "prompt": AutoTokenizer.from_pretrained("me/toy").apply_chat_template(hello, tokenize=False),
            "named": weights("me/toy").equal(weights(main)),
            "pinned": weights("me/toy", commit).equal(weights(earlier)),
            "moved": not weights(main).equal(weights(earlier)),
            "none": outcome(lambda: AutoTokenizer.from_pretrained("me/none")),
        }))
    """
    got = client(script % hub.root, hub.environment(home))
    assert got["prompt"] == "<|im_start|>user\nhello<|im_end|>\n"
    assert got["named"] and got["pinned"] and got["moved"]
    assert got["none"] == ["OSError", None]


def test_datasets_loads_jsonl_and_parquet_and_says_what_it_may_not_have(hub, home):
    script = """
        from datasets import load_dataset
        from huggingface_hub import HfApi
        commit = HfApi().dataset_info("me/rows").sha
        print(json.dumps({
            "jsonl": load_dataset("me/rows", split="train").to_list(),
            "parquet": load_dataset("me/table", split="train").to_list(),
            "pinned": load_dataset("me/rows", split="train", revision=commit).num_rows,
            "none": outcome(lambda: load_dataset("me/none")),
            "gated": outcome(lambda: load_dataset("me/gated")),
        }))
    """
    got = client(script, hub.environment(home))
    assert got["jsonl"] == got["parquet"] == ROWS
    assert got["pinned"] == len(ROWS)
    assert got["none"] == got["gated"] == ["DatasetNotFoundError", None]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def client(script: str, environment: dict[str, str]) -> dict:
    """What a process of its own printed: the clients read their environment once, at import."""
    command = [sys.executable, "-c", OUTCOME + dedent(script)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
