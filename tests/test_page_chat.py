"""Chat through the shell, with a toy in place of the engine and in a process that cannot import torch."""

import sys
import time
from dataclasses import dataclass, field

import pytest
from streamlit.runtime.scriptrunner import StopException
from streamlit.testing.v1 import AppTest

from core.errors import EngineError
from core.home import ROOT
from core.inference import client, process
from core.inference.client import Sampling
from studio.chat_message import question, to_send
from tests.toy_run import make_toy_run

HEAVY = ("torch", "transformers", "peft", "trl", "datasets")
NASTY = "<script>alert(1)</script> [x](javascript:alert(1)) :red[y] $z$ ![i](http://a.example/i.png)"


@dataclass
class ToyStream:
    """Pieces as the engine would send them; an exception among them is raised in its turn."""

    pieces: list
    closed: bool = False
    stats: client.Stats = field(default_factory=client.Stats)

    def __iter__(self):
        for number, piece in enumerate(self.pieces, start=1):
            if isinstance(piece, BaseException):
                raise piece
            self.stats.update({"prompt_tokens": 5, "completion_tokens": number}, piece)
            time.sleep(0.001)
            yield piece
        self.stats.finish_reason = "stop"

    def close(self):
        self.closed = True


@dataclass
class ToyEngine:
    """Stands for process and client: what it was asked, and what it will answer."""

    answers: list[list] = field(default_factory=lambda: [["Hello", " there."]])
    asked: list[tuple] = field(default_factory=list)
    streams: list[ToyStream] = field(default_factory=list)
    alive: bool = False
    stopped: int = 0
    refusal: EngineError | None = None
    pid: int = 1

    def engine(self):
        if self.refusal:
            raise self.refusal
        self.alive = True
        return self

    def running(self):
        return self if self.alive else None

    def stop(self):
        self.alive, self.stopped = False, self.stopped + 1

    def stream(self, engine, model_id, messages, sampling):
        self.asked.append((model_id, messages, sampling))
        self.streams.append(ToyStream(self.answers.pop(0)))
        return self.streams[-1]


@pytest.fixture
def toy(monkeypatch) -> ToyEngine:
    engine = ToyEngine()
    for name in ("engine", "running", "stop"):
        monkeypatch.setattr(process, name, getattr(engine, name))
    monkeypatch.setattr(client, "stream", engine.stream)
    for package in HEAVY:
        monkeypatch.setitem(sys.modules, package, None)
    return engine


def opened() -> AppTest:
    app = AppTest.from_file(str(ROOT / "studio" / "app.py"), default_timeout=30).run()
    return app.switch_page("../pages/chat.py").run()


def ask(app: AppTest, text: str) -> AppTest:
    return app.chat_input[0].set_value(text).run()


def said(app: AppTest) -> list[str]:
    return [message.markdown[0].value for message in app.chat_message]


def errors(app: AppTest) -> str:
    return " ".join(error.value.replace("\\", "") for error in app.error)


@pytest.fixture
def run():
    """A finished run on the starter, with a checkpoint."""

    def adapter(folder):
        folder.mkdir(parents=True)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            (folder / name).write_text("{}")
        return folder

    return make_toy_run("20261123-101502-tuned", "starter", adapter, steps=(5,), name="tuned")


def test_a_question_is_answered_and_the_speed_is_told(toy):
    app = ask(opened(), "Hi")
    assert not app.exception
    assert [text.strip() for text in said(app)] == ["Hi", "Hello there."]
    assert (
        "2 tokens · " in app.chat_message[1].caption[0].value and "s to first" in app.chat_message[1].caption[0].value
    )
    assert toy.asked == [("starter", [{"role": "user", "content": "Hi"}], Sampling())]
    assert toy.streams[0].closed


def test_the_conversation_goes_on(toy):
    toy.answers = [["One."], ["Two."]]
    app = ask(ask(opened(), "First?"), "Second?")
    assert [text.strip() for text in said(app)] == ["First?", "One.", "Second?", "Two."]
    assert [message["role"] for message in toy.asked[1][1]] == ["user", "assistant", "user"]


def test_an_error_is_a_sentence_and_the_question_can_be_sent_again(toy):
    toy.answers = [[EngineError("The chat engine ran out of memory.")], ["Now."]]
    app = ask(opened(), "Hi")
    assert "ran out of memory" in errors(app) and not app.exception
    app.button(key="chat:again").click().run()
    assert [text.strip() for text in said(app)] == ["Hi", "Now."] and not app.error
    assert len(toy.asked[1][1]) == 1


def test_an_engine_that_does_not_start_leaves_the_conversation(toy):
    app = ask(opened(), "Hi")
    toy.alive, toy.refusal = False, EngineError("The chat engine did not start: no port.")
    app = ask(app, "Still there?")
    assert "did not start" in errors(app)
    assert [text.strip() for text in said(app)] == ["Hi", "Hello there.", "Still there?"]


def test_half_an_answer_is_kept_with_its_error(toy):
    toy.answers = [["Half", EngineError("It broke.")], ["Whole."]]
    app = ask(opened(), "Hi")
    assert [text.strip() for text in said(app)] == ["Hi", "Half"] and "It broke" in errors(app)
    app.button(key="chat:again").click().run()
    assert [text.strip() for text in said(app)] == ["Hi", "Whole."]


def test_a_bug_in_the_stream_stays_loud_and_the_stream_is_closed(toy):
    toy.answers = [["Half", ZeroDivisionError("a bug")]]
    app = ask(opened(), "Hi")
    assert app.exception and toy.streams[0].closed


def test_signs_of_life_without_text_are_no_answer(toy):
    toy.answers = [["", "", "Late", ""]]
    assert [text.strip() for text in said(ask(opened(), "Hi"))] == ["Hi", "Late"]


def test_what_a_model_writes_shows_as_text(toy):
    toy.answers = [[NASTY]]
    shown = said(ask(opened(), NASTY))
    for text in shown:
        assert "<script>" not in text.replace("\\<", "") and "\\[x\\]" in text and "\\:red" in text and "\\$z" in text


def test_the_history_survives_switching_pages_and_ends_with_new_chat(toy):
    app = ask(opened(), "Hi")
    app.switch_page("../pages/lora.py").run()
    app.switch_page("../pages/chat.py").run()
    assert [text.strip() for text in said(app)] == ["Hi", "Hello there."]
    app.button(key="chat:new").click().run()
    assert said(app) == []


def test_sampling_and_system_prompt_are_sent_and_survive_switching_pages(toy):
    app = opened()
    app.slider(key="chat:temperature").set_value(0.2).run()
    app.number_input(key="chat:max tokens").set_value(64).run()
    app.text_area(key="chat:system").set_value(" Be brief. ").run()
    app.switch_page("../pages/lora.py").run()
    app.switch_page("../pages/chat.py").run()
    ask(app, "Hi")
    _, messages, sampling = toy.asked[0]
    assert (sampling.temperature, sampling.max_tokens, sampling.top_p) == (0.2, 64, 0.95)
    assert messages[0] == {"role": "system", "content": "Be brief."}


def test_the_newest_finished_run_answers_first(toy, run):
    app = opened()
    assert app.selectbox(key="chat:model").value == run.id
    assert "Tuned" in "".join(element.value for element in app.markdown)
    app.button_group(key="chat:example").set_value("Why was my card refused?").run()
    assert toy.asked[0][0] == run.id and toy.asked[0][1][0]["content"] == "Why was my card refused?"


def test_a_base_or_a_checkpoint_can_be_chosen_and_stays_chosen(toy, run):
    app = opened()
    app.selectbox(key="chat:model").set_value(f"{run.id}@5").run()
    ask(app, "Hi")
    app.switch_page("../pages/lora.py").run()
    app.switch_page("../pages/chat.py").run()
    assert app.selectbox(key="chat:model").value == f"{run.id}@5" == toy.asked[0][0]
    app.selectbox(key="chat:model").set_value("starter").run()
    assert "Base" in "".join(element.value for element in app.markdown)
    assert "tuned · step 5" in app.chat_message[1].caption[0].value  # who had answered


def test_the_engine_can_be_unloaded_while_it_runs(toy):
    app = opened()
    assert not [button for button in app.button if button.key == "chat:unload"]
    app = ask(app, "Hi")
    app.button(key="chat:unload").click().run()
    assert toy.stopped == 1 and not [button for button in app.button if button.key == "chat:unload"]


def test_an_answer_that_was_cut_says_so(toy, monkeypatch):
    app = opened()
    original = ToyStream.__iter__

    def cut(self):
        yield from original(self)
        self.stats.finish_reason = "length"

    monkeypatch.setattr(ToyStream, "__iter__", cut)
    assert "cut at max tokens" in ask(app, "Hi").chat_message[1].caption[0].value


def test_questions_without_an_answer_are_not_sent_but_the_last_one_is():
    history = [question("lost"), question("asked"), {"role": "assistant", "content": "yes"}, question("now")]
    assert [message["content"] for message in to_send(history, "")] == ["asked", "yes", "now"]


def test_a_stopped_answer_is_kept_closed_and_can_be_asked_again(toy):
    toy.answers = [["Half", StopException()], ["Whole."]]
    app = ask(opened(), "Hi")
    assert toy.streams[0].closed
    app.run()  # what the timer does in a browser
    assert [text.strip() for text in said(app)] == ["Hi", "Half"]
    assert app.chat_message[1].caption[0].value.endswith("stopped")
    app.button(key="chat:again").click().run()
    assert [text.strip() for text in said(app)] == ["Hi", "Whole."]
    assert [message["content"] for message in toy.asked[1][1]] == ["Hi"]


def test_a_stop_before_the_first_word_leaves_only_the_question(toy):
    toy.answers = [["", StopException()]]
    app = ask(opened(), "Hi").run()
    assert [text.strip() for text in said(app)] == ["Hi"]
    assert "Stopped before the first word." in [caption.value for caption in app.caption]


def test_a_run_of_the_page_beside_one_that_still_writes_waits_for_its_end(toy):
    app = opened()
    app.session_state["chat:chat"] = [question("Hi") | {"state": "writing"}]
    app.run()
    assert ":shimmer[Stopping…]" in [caption.value for caption in app.caption]
    assert not [button for button in app.button if button.key == "chat:again"] and not toy.asked
