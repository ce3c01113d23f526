"""A chat Space for a published model: its three files, how they get to the Hub, and that it runs and answers.

The program of the Space is run by a real Gradio, asked by a real gradio_client, and reads its model from the local Hub.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import torch
from huggingface_hub import RepoCard
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from core import command_hub
from core.errors import JobError
from core.hub.space_asked import problems_of
from core.hub.space_files import APP, GRADIO, README, REQUIREMENTS, Shown, files
from core.recipe import parse
from core.recipe_yaml import to_yaml
from tests.gradio_environment import gradio_python
from tests.local_hub import Hub, local_hub
from tests.local_hub_card import errors
from tests.test_local_hub import ROOT, client
from tests.toy_model import make_toy_adapter, make_toy_chatterbox, toy_tokenizer
from tools.browser import free_port

ADAPTER = Shown(
    "ann/bot",
    base="ann/base",
    base_revision="0" * 40,
    tokenizer="ann/bot",
    licence="apache-2.0",
    system_prompt='Say "hi",\nthen \\stop\\.',
    why_token="ann/bot is private",
)
WHOLE = Shown("ann/whole", tokenizer="ann/whole")
# A student's change: how many tokens there were when the model fell silent.
LAST_LINE = "thread.shutdown(wait=False)"
TELLS = 'thread.shutdown(); writing.exception() or print("tokens", writing.result().shape[1], flush=True)'


def test_hardware_that_the_hub_does_not_have_is_said_on_the_command_line(monkeypatch):
    monkeypatch.setattr(command_hub, "look", lambda model: WHOLE)
    with pytest.raises(JobError, match="hardware: 'gpu'"):
        command_hub.space("ann/whole", hardware="gpu")


@pytest.mark.parametrize("shown", [ADAPTER, WHOLE], ids=["adapter", "whole"])
def test_the_files_are_right_as_they_are_made(shown: Shown, tmp_path: Path) -> None:
    texts = files(shown, 'Bot: "the" #1', "zero")
    assert problems_of(texts) == []
    assert errors(texts[README], "space") == []
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    for command in (["check"], ["format", "--check"]):
        style = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", str(tmp_path)]
        done = subprocess.run([sys.executable, "-m", "ruff", *command, *style], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_files_say_what_the_hub_and_pip_need_to_know() -> None:
    texts = files(ADAPTER, "Bot", "t4")
    card = RepoCard(texts[README]).data.to_dict()
    wanted = {"title": "Bot", "sdk": "gradio", "sdk_version": GRADIO, "app_file": "app.py", "license": "apache-2.0"}
    assert wanted.items() <= card.items()
    assert card["suggested_hardware"] == "t4-small" and card["models"] == ["ann/bot", "ann/base"]
    assert card["python_version"] == "3.12"  # the Hub's default is one that transformers does not install on
    assert "HF_TOKEN" in texts[README] and "HF_TOKEN" not in files(WHOLE, "Bot", "t4")[README]
    pinned = dict(line.split("==") for line in texts[REQUIREMENTS].split())
    assert {"peft", "torch", "transformers", "spaces"} <= pinned.keys() and "+" not in pinned["torch"]
    assert "gradio" not in pinned  # its version is the card's
    assert "peft" not in files(WHOLE, "Bot", "t4")[REQUIREMENTS]


def test_what_would_not_start_is_told_before_it_is_pushed() -> None:
    texts = files(WHOLE, "Bot", "cpu")
    broken = texts | {APP: "import gradio as gr\ndef chat(:", README: "# A Space"}
    program, card = problems_of(broken)
    assert program.startswith("app.py is no Python program: line 2")
    assert "sdk: gradio and app_file: app.py" in card
    assert "cannot be read" in problems_of(texts | {README: "---\ntitle: [\n---\n"})[0]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A Hub with a published adapter on its base, and models that cannot be shown."""
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        put_bot(hub)
        make_toy_adapter(hub.repository("models/ann/local"), hub.root / "models/ann/base")  # its base is a folder here
        (hub.repository("models/ann/empty") / "config.json").write_text("{}")
        yield hub


def put_bot(hub: Hub) -> None:
    """The base ann/base, and ann/bot, a private adapter on it with tokenizer and recipe as it is published here."""
    base = make_toy_chatterbox(hub.repository("models/ann/base"))
    bot = make_toy_adapter(hub.repository("models/ann/bot"), base)
    config = json.loads((bot / "adapter_config.json").read_text())
    (bot / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "ann/base"}))
    tokenizer = toy_tokenizer()
    tokenizer.add_tokens(["<|boom|>"])  # the model has no place for it: it fails where it is said
    tokenizer.save_pretrained(bot)
    source = {"source": "starter", "system": "Be brief."}
    (bot / "recipe.yaml").write_text(to_yaml(parse({"name": "bot", "data": {"sources": [source]}})))
    (bot / "README.md").write_text("---\nlicense: mit\n---\n")
    (bot / ".private").touch()


# Jobs done one after the other in one process: each as its worker does it, after the launcher made its folder.
JOBS = """
    import os
    from dataclasses import asdict
    from pathlib import Path
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars
    from core import home
    from core.errors import StudioError
    from core.hub import space
    from core.hub.published import look
    from core.hub.space_asked import Space, found_changed, may_be_replaced, recipe_of
    from core.hub.space_files import files
    from core.jobs import launcher
    from core.jobs.asked import beside
    from core.jobs.folder import Job
    from core.jobs.worker import Worker
    disable_progress_bars()
    home.jobs_folder().mkdir(parents=True)
    ann = HfApi(token="hf_ann")
    TEXTS = files(look("ann/bot"), "Bot", "cpu")

    def push(texts=TEXTS, name="ann/bot-chat", **more):
        asked = Space(space=name, model="ann/bot", **more)
        job = launcher._new_folder(recipe_of(asked), "space", beside("space", asked) | texts)
        try:
            space.run(Worker(job))
        except StudioError as error:
            return job, str(error)
        return job, job.result["why"]

    def there(name="app.py"):
        return Path(ann.hf_hub_download("ann/bot-chat", name, repo_type="space")).read_text()

    def change(text, name="app.py"):
        ann.upload_file(path_or_fileobj=text.encode(), path_in_repo=name, repo_id="ann/bot-chat", repo_type="space")

    def runs_on(name="ann/bot-chat"):
        return ann.get_space_runtime(name).hardware

    def said(ask):
        try:
            return asdict(ask())
        except StudioError as error:
            return str(error)
"""


@pytest.fixture(scope="module")
def seen(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What one process did, with ann's token."""
    script = (
        JOBS
        + """
    shown = {name: said(lambda: look(f"ann/{name}")) for name in ("bot", "base", "local", "empty", "none")}
    made = push()
    first = [made[0].status, made[1], there() == TEXTS["app.py"], ann.space_info("ann/bot-chat").private]
    newer = TEXTS | {"app.py": TEXTS["app.py"] + "# newer"}
    again = [push(newer, secret=True)[1], there().endswith("# newer"), push(newer)[1]]
    change("# mine", "notes.md")
    change(newer["app.py"] + "# by hand")
    job, why = push(TEXTS)
    refused = [job.status, why, there().endswith("# by hand"), list(found_changed(job))]
    replace = may_be_replaced("ann/bot-chat")
    change("# once more")
    raced = push(TEXTS, replace=replace)[1]
    replace = may_be_replaced("ann/bot-chat")
    replaced = [push(TEXTS, replace=replace)[0].status, there() == TEXTS["app.py"], there("notes.md")]
    ann.update_repo_settings("ann/bot-chat", private=False, repo_type="space")
    moved, zero = [push(hardware="t4")[1], runs_on()], [push(hardware="zero")[1], runs_on()]
    rich = [push(name="ann/rich", hardware="t4")[1], runs_on("ann/rich")]
    poor = [push(name="ann/poor", hardware="zero")[1], runs_on("ann/poor")]
    ann.create_repo("ann/static", repo_type="space", space_sdk="static")
    ann.upload_file(
        path_or_fileobj=b"---\\nsdk: static\\n---\\n", path_in_repo="README.md", repo_id="ann/static", repo_type="space"
    )
    other, foreign = push(name="ann/static")[1], push(name="bob/bot-chat")[1]
    del os.environ["HF_TOKEN"]
    print(json.dumps({
        "shown": shown, "first": first, "again": again, "refused": refused, "raced": raced, "replaced": replaced,
        "moved": moved, "zero": zero, "rich": rich, "poor": poor, "other": other, "foreign": foreign, "stranger": push()[1],
    }))
    """
    )
    environment = hub.environment(tmp_path_factory.mktemp("cache"), token="hf_ann")
    return client(script, environment | {"STUDIO_HOME": str(tmp_path_factory.mktemp("home"))})


@pytest.mark.process
def test_a_model_is_looked_at_before_a_space_is_made_for_it(seen: dict) -> None:
    bot, base = seen["shown"]["bot"], seen["shown"]["base"]
    assert (bot["base"], bot["tokenizer"], bot["licence"]) == ("ann/base", "ann/bot", "mit")
    assert (bot["system_prompt"], bot["why_token"]) == ("Be brief.", "ann/bot is private")
    assert (base["base"], base["tokenizer"], base["why_token"]) == (None, "ann/base", "")
    assert "which others cannot read from the Hub" in seen["shown"]["local"]
    assert "no weights as .safetensors" in seen["shown"]["empty"]
    assert seen["shown"]["none"].startswith("The Hub has no repository ann/none")


@pytest.mark.process
def test_a_space_is_made_private_in_one_commit_and_brought_up_to_date_in_another(seen: dict, hub: Hub) -> None:
    status, why, arrived, private = seen["first"]
    assert (status, arrived, private) == ("finished", True, True)
    assert "is private, so it cannot read it yet: set a secret HF_TOKEN" in why
    titles = [commit.title for commit in reversed(hub.commits("spaces/ann/bot-chat"))]
    assert titles[1:3] == ["Chat with ann/bot", "Chat with ann/bot"]
    assert seen["again"][1]


@pytest.mark.process
def test_the_token_goes_into_the_space_only_where_it_was_chosen(seen: dict, hub: Hub) -> None:
    given, _, later = seen["again"]
    assert "It has your token as the secret HF_TOKEN." in given
    assert "It reads ann/bot with the secret HF_TOKEN that it has." in later
    secrets = {
        name: json.loads((hub.root / f"spaces/ann/{name}/.space").read_text())["secrets"]
        for name in ("bot-chat", "rich")
    }
    assert secrets == {"bot-chat": ["HF_TOKEN"], "rich": []}


@pytest.mark.process
def test_what_somebody_changed_in_the_space_is_replaced_only_once_it_was_seen(seen: dict) -> None:
    status, why, kept, found = seen["refused"]
    assert (status, kept, found) == ("failed", True, ["app.py"])
    assert why.startswith("app.py was changed in ann/bot-chat by somebody, so nothing was pushed.")
    assert "was changed" in seen["raced"]
    assert seen["replaced"] == ["finished", True, "# mine"]


@pytest.mark.process
def test_hardware_is_asked_for_and_a_refusal_is_told(seen: dict) -> None:
    assert seen["moved"][1] == seen["rich"][1] == "t4-small"
    assert "It moves to T4." in seen["moved"][0] and "Everybody can open it." in seen["moved"][0]
    assert seen["zero"][1] == "t4-small" and seen["poor"][1] == "cpu-basic"
    for why in (seen["zero"][0], seen["poor"][0]):
        assert "is on the Hub" in why and "did not give it ZeroGPU: that needs a PRO account" in why


@pytest.mark.process
def test_a_space_that_cannot_be_pushed_says_why(seen: dict) -> None:
    assert "a Space of another kind, static" in seen["other"]
    assert "does not let this token change bob/bot-chat" in seen["foreign"]
    assert "must know who you are: sign in" in seen["stranger"]


# Asks as readers would, and prints what came. Questions to the same Client are one conversation.
READERS = """
import json, sys
from gradio_client import Client
from gradio_client.exceptions import AppError

def reader():
    return Client(sys.argv[1], verbose=False)

def ask(client, message, **settings):
    answer = client.submit(message, api_name="/chat", **settings)
    pieces = list(answer)
    try:
        return [*pieces, answer.result()]
    except AppError as error:
        return [str(error)]

one, two = reader(), reader()
print(json.dumps({
    "settings": {p["parameter_name"]: p["parameter_default"] for p in one.view_api(return_format="dict", print_info=False)
                 ["named_endpoints"]["/chat"]["parameters"]},
    "greedy": ask(one, "Hi", temperature=0, max_tokens=12),
    "failed": ask(one, "<|boom|>", max_tokens=5),
    "after": ask(one, "Hi", temperature=0, max_tokens=12, system_prompt=""),
    "long": ask(two, "x" * 5000),
    "conversation": [ask(two, "a" * 1500, max_tokens=5)[-1] for _ in range(4)],
}), flush=True)
pieces = iter(one.submit("Hi", api_name="/chat", temperature=0, max_tokens=2000))
next(pieces), next(pieces)
print("reading", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def space_folder(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Space as `python -m core space` pushed it at the second try, with one line changed by a student."""
    environment = hub.environment(tmp_path_factory.mktemp("cache"), token="hf_ann")
    environment |= {"STUDIO_HOME": str(tmp_path_factory.mktemp("home"))}
    command = [sys.executable, "-m", "core", "space", "ann/bot", "--name", "ann/shown", "--json"]
    how = {"env": environment, "cwd": ROOT, "capture_output": True, "text": True, "timeout": 120}
    with hub.failing(500, where="/commit/"):
        failed = subprocess.run(command, **how)
    assert failed.returncode == 1
    assert failed.stderr.strip() == "The Hub answered 500 when asked for ann/shown. Try again in a while."
    done = subprocess.run(command, **how)  # on the empty Space that was left
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "finished"
    folder = hub.repository("spaces/ann/shown")
    text = (folder / APP).read_text()
    assert LAST_LINE in text
    (folder / APP).write_text(text.replace(LAST_LINE, TELLS))
    return folder


@pytest.fixture(scope="module")
def readers(hub: Hub, space_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What readers of the running Space saw; one of them left in the middle of an answer."""
    python = str(gradio_python())
    environment = hub.environment(tmp_path_factory.mktemp("cache"), token="hf_ann")
    url = f"http://127.0.0.1:{(port := free_port())}"
    settings = {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "PYTHONUNBUFFERED": "1"}
    with ended([python, APP], cwd=space_folder, env=environment | settings) as space:
        line_of(space, "Running on")
        with ended([python, "-c", READERS, url], env=environment) as reader:
            found = json.loads(line_of(reader, "{"))
            line_of(reader, "reading")
        return found | {"tokens": [int(line_of(space, "tokens").split()[1]) for _ in range(7)][-1]}


@contextmanager
def ended(command: list[str], **how: Any) -> Iterator[subprocess.Popen]:
    """A process until the block ends, or for two minutes: nobody waits for ever for one that says nothing."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, **how) as process:
        watch = Timer(120, process.kill)
        watch.start()
        try:
            yield process
        finally:
            watch.cancel()
            process.kill()


def line_of(process: subprocess.Popen, begins: str) -> str:
    """The next line that begins or goes on like this; fails where the process ends before."""
    assert process.stdout
    return next(line for line in process.stdout if begins in line)


def expected(hub: Hub, turns: list[dict[str, str]]) -> str:
    """What plain transformers and PEFT answer, always taking the likeliest token."""
    tokenizer = AutoTokenizer.from_pretrained(hub.root / "models/ann/bot")
    base = AutoModelForCausalLM.from_pretrained(hub.root / "models/ann/base", dtype=torch.float32)
    model = PeftModel.from_pretrained(base, hub.root / "models/ann/bot")
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    ids = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    return tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.process
def test_the_space_streams_the_answer_of_the_adapter_on_its_base(readers: dict, hub: Hub) -> None:
    assert readers["settings"]["system_prompt"] == "Be brief."
    pieces = readers["greedy"]
    assert len(pieces) > 3
    assert all(more.startswith(less) for less, more in itertools.pairwise(pieces))
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert pieces[-1] == expected(hub, turns)


@pytest.mark.process
def test_an_answer_that_fails_says_so_and_the_conversation_goes_on(readers: dict, hub: Hub) -> None:
    assert readers["failed"][0].startswith("The model could not answer: index out of range")
    said = [("user", "Hi"), ("assistant", readers["greedy"][-1]), ("user", "Hi")]
    assert readers["after"][-1] == expected(hub, [{"role": role, "content": text} for role, text in said])


@pytest.mark.process
def test_the_oldest_turns_make_room_and_a_message_that_is_too_long_is_refused(readers: dict) -> None:
    assert readers["long"] == ["This message is too long for the model. Shorten it."]
    assert len(readers["conversation"]) == 4 and not any("too long" in answer for answer in readers["conversation"])


@pytest.mark.process
def test_nothing_more_is_written_once_the_reader_has_left(readers: dict) -> None:
    assert readers["tokens"] < 2000
