"""`python -m core serve`: a server for other tools, asked by OpenAI's client for models and adapters of the Hub."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
import psutil
import pytest

from core import home
from core.inference import example
from tests.local_hub import Hub, local_hub
from tests.toy_model import make_toy_adapter, make_toy_chatterbox, make_toy_shouter

pytestmark = pytest.mark.process

HELLO = [{"role": "user", "content": "Hi"}]
SHOUT = "the" * 20


@dataclass
class Served:
    process: subprocess.Popen
    url: str
    key: str
    home: Path

    def ask(self, model: str, **more) -> str:
        client = openai.OpenAI(base_url=self.url, api_key=self.key, max_retries=0, timeout=60)
        asked = {"model": model, "messages": HELLO, "temperature": 0, "max_tokens": 20}
        return client.chat.completions.create(**asked | more).choices[0].message.content


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "core", "serve", *arguments]
    return subprocess.Popen(
        command, cwd=home.ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Iterator[Hub]:
    """A base, an adapter that names it, one that shouts, and one that names nothing."""
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        base = make_toy_chatterbox(hub.repository("models/ann/base"))
        make_toy_shouter(hub.repository("models/ann/shouter"), base)
        make_toy_adapter(hub.repository("models/ann/lost"), base)
        for name, named in (("shouter", "ann/base"), ("lost", None)):
            config = hub.repository(f"models/ann/{name}") / "adapter_config.json"
            config.write_text(json.dumps(json.loads(config.read_text()) | {"base_model_name_or_path": named}))
        (hub.repository("models/ann/shouter") / "chat_template.jinja").write_text("{{ messages[0].content }}")
        yield hub


@pytest.fixture(scope="module")
def served(hub, tmp_path_factory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    environment = hub.environment(folder / "cache") | {"STUDIO_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    process = start(environment)
    url, key = (process.stdout.readline().split()[1] for _ in range(2))
    yield Served(process, url, key, folder)
    process.kill()
    process.wait()


def test_an_adapter_of_the_hub_answers_on_the_base_that_it_names_and_the_base_stays_itself(served):
    base = served.ask("ann/base")
    assert served.ask("ann/shouter") == SHOUT
    assert served.ask("ann/base") == base != SHOUT


def test_an_adapter_of_the_hub_is_asked_with_its_own_template(served):
    client = openai.OpenAI(base_url=served.url, api_key=served.key, max_retries=0)
    tokens = [
        client.chat.completions.create(model=model, messages=HELLO, max_tokens=1).usage.prompt_tokens
        for model in ("ann/base", "ann/shouter")
    ]
    assert tokens[1] == 2 < tokens[0]


def test_an_adapter_in_a_folder_answers_too(served, hub):
    assert served.ask(str(hub.repository("models/ann/shouter"))) == SHOUT


@pytest.mark.parametrize(
    ("model", "said"), [("ann/lost", "does not name the model"), ("ann/nothing", "no repository ann/nothing")]
)
def test_what_the_hub_cannot_give_is_a_sentence(served, model, said):
    with pytest.raises(openai.APIStatusError, match=said):
        served.ask(model)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_base_in_few_bits_answers_and_carries_an_adapter(served, bits):
    assert served.ask("ann/base", extra_body={"bits": bits})
    assert served.ask("ann/shouter", extra_body={"bits": bits}) == SHOUT


def test_the_examples_can_be_copied_and_run(served):
    python = example.python(served.url, served.key, "ann/shouter").replace("model=", "max_tokens=20, model=")
    said = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=True)
    assert said.stdout == f"{SHOUT}\n"
    bash = example.curl(served.url, served.key, "ann/shouter").replace('"model"', '"max_tokens": 20, "model"')
    said = subprocess.run(["bash", "-c", bash], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout)["choices"][0]["message"]["content"] == SHOUT


def test_the_key_is_in_no_file_and_no_argument_and_the_app_s_engine_is_another(served):
    process = psutil.Process(served.process.pid)
    places = [" ".join(process.cmdline()), json.dumps(process.environ())]
    places += [file.read_text(errors="replace") for file in served.home.glob("*") if file.is_file()]
    assert not any(served.key in place for place in places)
    assert not (served.home / "engine.json").exists()


def test_a_port_that_is_taken_is_a_sentence(served):
    port = served.url.split(":")[2].split("/")[0]
    second = start(dict(os.environ), "--port", port)
    assert second.wait(60) == 1 and f"Port {port} cannot be used" in second.stderr.read()


# Last in this file: it ends the server.
def test_ctrl_c_ends_it(served):
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(20) == 0
    assert "Traceback" not in served.process.stderr.read()
