"""A chat Space for a published model: its three files, how they get to the Hub, and that it runs and answers.

The program of the Space is run by a real Gradio, asked by a real gradio_client, and reads its model from the local Hub.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest
import torch
import yaml
from huggingface_hub import RepoCard
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

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


@pytest.mark.parametrize("shown", [ADAPTER, WHOLE], ids=["adapter", "whole"])
def test_the_files_are_right_as_they_are_made(shown: Shown, tmp_path: Path) -> None:
    texts = files(shown, 'Bot: "the" #1', "zero")
    assert problems_of(texts) == []
    assert errors(texts[README], "space") == []
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    for command in (["check"], ["format", "--check"]):
        style = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", str(tmp_path)]
        done = subprocess.run([str(ROOT / ".venv/bin/ruff"), *command, *style], capture_output=True, text=True)
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
