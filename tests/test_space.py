"""A chat Space for a published model: its three files, how they get to the Hub, and that it runs and answers.

The program of the Space is run by a real Gradio, asked by a real gradio_client, and reads its model from the local Hub.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import RepoCard

from core.hub.space_asked import problems_of
from core.hub.space_files import APP, GRADIO, README, REQUIREMENTS, Shown, files
from core.recipe import parse
from core.recipe_yaml import to_yaml
from tests.local_hub import Hub, local_hub
from tests.local_hub_card import errors
from tests.test_local_hub import ROOT, client
from tests.toy_model import make_toy_adapter, make_toy_chatterbox, toy_tokenizer

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
    """A Hub with a base, a private adapter on it as it is published here, and models that cannot be shown."""
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
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
        make_toy_adapter(hub.repository("models/ann/local"), base)  # its base is a folder of this machine
        (hub.repository("models/ann/empty") / "config.json").write_text("{}")
        yield hub


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
    from core.hub.space_asked import Space, beside, found_changed, may_be_replaced, recipe_of
    from core.hub.space_files import files
    from core.jobs import launcher
    from core.jobs.folder import Job
    from core.jobs.worker import Worker
    disable_progress_bars()
    home.jobs_folder().mkdir(parents=True)
    ann = HfApi(token="hf_ann")
    TEXTS = files(look("ann/bot"), "Bot", "cpu")

    def push(texts=TEXTS, name="ann/bot-chat", **more):
        asked = Space(space=name, model="ann/bot", **more)
        job = launcher._new_folder(recipe_of(asked), "space", beside(asked, texts))
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
