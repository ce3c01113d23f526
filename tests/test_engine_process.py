"""The chat engine as a process: started once, by whoever asks first; ended when idle, when unknown, when told to."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from core import home, talk
from core.errors import EngineError
from core.inference import process
from core.inference.client import Sampling, Stats, stream
from core.jobs.process import Birth, born
from tests.toy_model import make_toy_chatterbox

pytestmark = pytest.mark.process

HELLO = [{"role": "user", "content": "Hi"}]
IDLE_S = 3


@pytest.fixture(scope="module")
def module_home(tmp_path_factory) -> Iterator[Path]:
    """A home for the engine that two tabs start, with one core, which is plenty for toys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield home.home()


@pytest.fixture(scope="module")
def started_by_two_tabs(module_home) -> Iterator[list[process.Engine]]:
    found = []
    tabs = [threading.Thread(target=lambda: found.append(process.engine())) for _ in range(2)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    yield found
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(module_home))
        process.stop()


@pytest.fixture
def their_home(module_home, monkeypatch) -> Path:
    monkeypatch.setenv("STUDIO_HOME", str(module_home))
    return module_home


def stubborn_process() -> subprocess.Popen:
    """A process of its own session that does not obey SIGTERM."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    child.stdout.readline()
    return child


def announced(birth: Birth, port: int = 9) -> None:
    home.home().mkdir(parents=True, exist_ok=True)
    home.engine_file().write_text(json.dumps(asdict(birth) | {"port": port}))


def gone(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_two_tabs_start_one_engine(started_by_two_tabs, their_home):
    one, two = started_by_two_tabs
    assert one == two == process.running()


def test_an_engine_that_answers_is_not_started_again(started_by_two_tabs, their_home):
    assert process.engine() == started_by_two_tabs[0]


def test_the_key_is_in_no_file_no_argument_and_no_environment(started_by_two_tabs, their_home):
    engine = started_by_two_tabs[0]
    child = psutil.Process(engine.pid)
    places = [" ".join(child.cmdline()), json.dumps(child.environ()), json.dumps(dict(os.environ)), repr(engine)]
    places += [file.read_text(errors="replace") for file in their_home.rglob("*") if file.is_file()]
    assert len(engine.key) >= 32 and not any(engine.key in place for place in places)
    assert set(json.loads(home.engine_file().read_text())) == {
        "pid",
        "birth",
        "host",
        "oom_kills",
        "since_boot",
        "port",
    }


def test_the_engine_listens_on_loopback_only_and_has_a_session_of_its_own(started_by_two_tabs, their_home):
    engine = started_by_two_tabs[0]
    listening = [c.laddr.ip for c in psutil.Process(engine.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]
    assert os.getsid(engine.pid) == engine.pid != os.getsid(0)


def test_an_engine_that_dies_while_answering_is_a_sentence_and_the_next_question_starts_another(
    started_by_two_tabs, their_home, tmp_path, monkeypatch
):
    engine = process.engine()
    model = str(make_toy_chatterbox(tmp_path / "chatterbox"))
    answer = stream(engine, model, HELLO, Sampling(temperature=0, max_tokens=3500))
    with pytest.raises(EngineError, match="ended in the middle of this answer"):
        for _ in answer:
            os.kill(engine.pid, signal.SIGKILL)
    assert gone(engine.pid, 5)
    assert process.running() is None
    monkeypatch.setattr(process, "IDLE_S", IDLE_S)
    another = process.engine()
    assert another.pid != engine.pid and another.key != engine.key


@pytest.fixture
def idle_engine(monkeypatch) -> tuple[subprocess.Popen, process.Engine]:
    """An engine that ends soon, started while an engine that nobody knows any more was alive."""
    monkeypatch.setattr(process, "IDLE_S", IDLE_S)
    monkeypatch.setattr(process, "END_WITHIN_S", 0.5)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    unknown = stubborn_process()
    announced(born(unknown.pid))
    return unknown, process.engine()


def test_an_unknown_old_engine_is_replaced_and_an_idle_one_ends_by_itself(idle_engine):
    unknown, engine = idle_engine
    assert unknown.wait(5) == -signal.SIGKILL
    assert process.running() == engine
    assert gone(engine.pid, IDLE_S + 15)
    assert process.running() is None and not home.engine_file().exists()


def test_a_process_that_only_has_the_old_engine_s_number_is_left_alone():
    other = stubborn_process()
    try:
        now = born(other.pid)
        announced(Birth(now.pid, now.birth - 1000, now.host))
        process.stop()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_stopping_what_does_not_run_does_nothing():
    process.stop()
    assert process.running() is None


def test_a_chat_in_a_terminal_leaves_an_engine_alone_that_it_has_not_started(monkeypatch):
    of_the_page = stubborn_process()
    announced(born(of_the_page.pid))
    monkeypatch.setattr(process, "_child", None)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    talk.talk("starter", None, Sampling(), 16)
    assert of_the_page.poll() is None
    of_the_page.kill()


class Said(list):
    """Pieces of an answer with its numbers."""

    stats = Stats(tokens=5, finish_reason="length")


def test_a_question_in_a_terminal_that_no_word_came_to_is_no_part_of_the_conversation(monkeypatch, capsys):
    asked, answers = [], [[""], ["", "Yes."], [""]]  # signs of life, while the model is loaded

    def stream(engine, model, messages, *rest):
        asked.append([message["content"] for message in messages])
        return Said(answers.pop(0))

    monkeypatch.setattr(talk, "stream", stream)
    monkeypatch.setattr(process, "engine", lambda: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO("One?\nTwo?\n"))
    talk.talk("starter", None, Sampling(), 16)
    error = capsys.readouterr().err
    assert asked == [["One?"], ["Two?"]] and "The model said nothing." in error
    assert error.count("Cut after 5 tokens") == 1
    with pytest.raises(EngineError, match="said nothing"):
        talk.talk("starter", "Three?", Sampling(), 16)


def test_an_engine_that_was_given_up_before_it_announced_itself_ends(monkeypatch):
    child = stubborn_process()
    monkeypatch.setattr(process, "_child", child)
    process.stop_own()
    assert child.returncode == -signal.SIGKILL


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_damaged_engine_file_is_as_good_as_none(content):
    home.home().mkdir(parents=True)
    home.engine_file().write_text(content)
    assert process.running() is None
    process.stop()


def test_a_failed_start_quotes_the_last_line_of_the_log(tmp_path, monkeypatch):
    monkeypatch.setattr(process.home, "ROOT", tmp_path)
    with pytest.raises(EngineError, match=r"did not start: .*No module named 'core'.* The log is .*engine\.log"):
        process.engine()
    assert process.running() is None


def test_a_start_that_never_ends_is_given_up_and_its_process_ended(tmp_path, monkeypatch):
    package = tmp_path / "core" / "inference"
    package.mkdir(parents=True)
    (package / "server.py").write_text("import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)")
    monkeypatch.setattr(process.home, "ROOT", tmp_path)
    monkeypatch.setattr(process, "START_WITHIN_S", 2)
    with pytest.raises(EngineError, match="did not start: pid") as failure:
        process.engine()
    assert gone(int(str(failure.value).split("pid ")[1].split(".")[0]), 5)


def test_an_engine_without_a_key_does_not_start(monkeypatch):
    from core.inference import server

    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(SystemExit, match="needs its key"):
        server.main(Namespace(idle_seconds=1, listening=None, life=1, for_others=False))
    assert not home.engine_file().exists()
