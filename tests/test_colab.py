"""The notebook for Colab, cell by cell, with a stand-in for the module that only Colab has: code, set-up, start, page, restore."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.parse import urlencode

import psutil
import pytest

from core.home import ROOT
from core.jobs import launcher
from core.jobs.listing import all_jobs
from tests.local_hub import local_hub
from tools.browser import free_port

TOKEN = "hf_ann"  # which the tests' Hub knows
CELLS = json.loads((ROOT / "colab.ipynb").read_text(encoding="utf-8"))["cells"]
CODE_CELLS = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


class Missing(Exception):
    """What Colab raises for a secret that is not there."""


class Colab:
    """What the notebook uses of Colab: it notes what was shown."""

    def __init__(self, secrets: dict[str, str]):
        self.secrets = secrets
        self.framed: list[int] = []

    def put_in_place(self, patch: pytest.MonkeyPatch) -> None:
        output = SimpleNamespace(
            eval_js=lambda code: f"https://colab.test/?from={code}",
            serve_kernel_port_as_iframe=lambda port, height: self.framed.append(port),
        )
        userdata = SimpleNamespace(get=self._secret, SecretNotFoundError=Missing, NotebookAccessError=Missing)
        module = ModuleType("google.colab")
        module.output, module.userdata = output, userdata
        patch.setitem(sys.modules, "google.colab", module)

    def _secret(self, name: str) -> str:
        if name not in self.secrets:
            raise Missing(name)
        return self.secrets[name]


@pytest.fixture
def commands(monkeypatch) -> Iterator[list[list[str]]]:
    """The commands of the cells: all run, but pip, which would change the environment of these tests."""
    ran, run = [], subprocess.run

    def noted(command, **how):
        ran.append(command)
        return None if "pip" in command else run(command, **how)

    monkeypatch.setattr(subprocess, "run", noted)
    yield ran


def repository(folder: Path) -> Path:
    """The code as it lies here, committed."""
    shutil.copytree(
        ROOT, folder, ignore=shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "screenshots")
    )
    as_somebody = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "-A"], [*as_somebody, "commit", "-q", "-m", "all"]):
        subprocess.check_call(["git", "-C", str(folder), *command])
    return folder


def code(folder: Path, port: int) -> list[str]:
    """The code cells, with Colab's folder, the repository's address, the port and the backup's name replaced."""
    source = repository(folder / "source")
    changed = {"/content": str(folder), "https://github.com/you/fine-tuning-studio": source.as_uri()}
    changed |= {"PORT = 8501": f"PORT = {port}", 'BACKUP = ""': 'BACKUP = "ann/nothing"'}
    text = "\0".join(CODE_CELLS)
    for old, new in changed.items():
        assert old in text, f"the notebook no longer says {old}"
        text = text.replace(old, new)
    return text.split("\0")


def use_environment_of_the_tests(folder: Path) -> None:
    """What the set-up would take minutes to make is here already, and not older than what it is made from."""
    (folder / ".venv").unlink(missing_ok=True)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    os.utime(folder / "requirements.txt", (0, 0))


def status(port: int, form: dict[str, str] | None = None) -> int:
    body = urlencode(form).encode() if form else None
    try:
        return (
            urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            .open(f"http://127.0.0.1:{port}/", body)
            .status
        )
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.process
def test_the_cells_open_a_closed_studio_that_is_signed_in_and_ask_for_a_backup(tmp_path, monkeypatch, commands, capfd):
    colab, port = Colab({"HF_TOKEN": TOKEN}), free_port()
    colab.put_in_place(monkeypatch)
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "studio"))
    get, set_up, start, show, restore = code(tmp_path, port)
    with local_hub(tmp_path / "hub") as hub:
        for name, value in hub.environment(tmp_path / "hf").items():
            monkeypatch.setenv(name, value)
        cells: dict = {}
        exec(get, cells)
        use_environment_of_the_tests(cells["CODE"])
        exec(set_up, cells)
        exec(start, cells)
        try:
            exec(show, cells)
            assert status(port) == 401 and status(port, {"password": cells["PASSWORD"]}) == 200
            assert psutil.Process(cells["studio"].pid).environ()["HF_TOKEN"] == TOKEN
            exec(restore, cells)
            (job,) = all_jobs("restore")
            launcher.wait(job, 60)
        finally:
            cells["studio"].kill()
            cells["studio"].wait()
    said = capfd.readouterr()
    assert "A GPU that PyTorch can use: " in said.out and f"Password: {cells['PASSWORD']}" in said.out
    assert f"https://colab.test/?from=google.colab.kernel.proxyPort({port})" in said.out and colab.framed == [port]
    assert job.result["why"].startswith("The Hub has no repository ann/nothing")
    tools, torch = (command for command in commands if "pip" in command)
    assert tools[-2:] == ["virtualenv", "uv"] and re.fullmatch(r"torch==[0-9.]+", torch[-1])
    assert torch[-3:-1] == [cells["PYTHON"], "--torch-backend=auto"]
    assert TOKEN not in said.out + said.err and not written_in(tmp_path, TOKEN)
    assert not written_in(tmp_path, cells["PASSWORD"]) and "STUDIO_PASSWORD" not in cells["environment"]


def written_in(folder: Path, secret: str) -> list[Path]:
    """The files beside the code that hold it."""
    files = [
        path for path in folder.rglob("*") if path.is_file() and not {"source", "fine-tuning-studio"} & {*path.parts}
    ]
    return [path for path in files if secret.encode() in path.read_bytes()]


def test_starting_it_again_ends_the_studio_whose_password_is_gone(tmp_path, monkeypatch):
    Colab({}).put_in_place(monkeypatch)
    port = str(free_port())
    toy = tmp_path / "fine-tuning-studio" / "studio.py"
    toy.parent.mkdir()
    toy.write_text("import time; time.sleep(60)")
    changed = [cell.replace("/content", str(tmp_path)).replace("8501", port) for cell in CODE_CELLS]
    cells: dict = {"PYTHON": sys.executable}
    exec(changed[0], cells)
    exec(changed[2], cells)
    before = cells["studio"].pid
    exec(changed[2], cells)
    assert not psutil.pid_exists(before) and cells["studio"].poll() is None
    cells["studio"].kill()
    cells["studio"].wait()


def test_every_cell_has_a_sentence_above_it_and_no_output():
    kinds = [cell["cell_type"] for cell in CELLS]
    assert kinds == ["markdown"] + ["markdown", "code"] * 5
    assert not [cell for cell in CELLS if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.parametrize("venv", ["*ensurepip*) exit 1", '"-m venv"*) mkdir .venv; exit 1'], ids=["missing", "broken"])
@pytest.mark.parametrize("has", ["nothing", "virtualenv"])
def test_where_python_has_no_venv_make_takes_virtualenv_or_says_what_to_do(tmp_path, has, venv):
    python = tmp_path / "python"
    python.write_text(f"""#!/bin/sh
case "$*" in
  {venv};;
  *"import virtualenv"*) [ {has} = virtualenv ];;
  "-m virtualenv"*) mkdir -p .venv/bin && touch .venv/bin/python;;
  *) exec {sys.executable} "$@";;
esac
""")
    python.chmod(0o755)
    makefile = ["make", "-f", str(ROOT / "Makefile"), ".venv/bin/python", f"PYTHON={python}"]
    made = subprocess.run(makefile, cwd=tmp_path, capture_output=True, text=True)
    assert (tmp_path / ".venv").exists() == (has == "virtualenv") == (made.returncode == 0)
    assert ("Install Debian's package python3-venv, or: " in made.stderr) == (has == "nothing")
