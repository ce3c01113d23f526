"""Chat through the shell, with a toy in place of the engine and in a process that cannot import torch."""

import errno
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass, field, replace

import pytest
from streamlit.runtime.scriptrunner import StopException
from streamlit.testing.v1 import AppTest

from benchmarks.synthetic_jobs import make_job
from core import chats, feedback, home, votes
from core.chats import Chat, Turn
from core.errors import EngineError
from core.hardware import machine
from core.home import ROOT
from core.inference import client, process, room
from core.inference.client import Sampling
from core.jobs import process as birth
from core.jobs.folder import Job
from studio.chat_vote import _vote
from tests.toy_run import make_toy_run

HEAVY = ("torch", "transformers", "peft", "trl", "datasets")
NASTY = "<script>alert(1)</script> [x](javascript:alert(1)) :red[y] $z$ ![i](http://a.example/i.png)"


class ToyStream:
    """Pieces as the engine would send them: of the first model, or with a model's index. An exception is raised in its turn."""

    ended = client.Comparison.ended

    def __init__(self, pieces: list, models: int):
        self.pieces = pieces
        self.closed = False
        self.all_stats = [client.Stats() for _ in range(models)]
        self.errors = [None] * models

    def __iter__(self):
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            index, text = piece if isinstance(piece, tuple) else (0, piece)
            stats = self.all_stats[index]
            stats.update({"prompt_tokens": 5, "completion_tokens": stats.tokens + 1}, text)
            time.sleep(0.001)
            yield index, text
        for stats in self.all_stats:
            stats.finish_reason = "stop"

    def close(self):
        self.closed = True


@dataclass
class ToyEngine:
    """Stands for process and client: what it was asked, and what it will answer."""

    answers: list[list] = field(default_factory=lambda: [["Hello", " there."]])
    asked: list[tuple] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)
    going_on: list[bool] = field(default_factory=list)
    streams: list[ToyStream] = field(default_factory=list)
    alive: bool = False
    stopped: int = 0
    refusal: EngineError | None = None
    held: int = 0
    pid: int = 1
    url: str = "http://127.0.0.1:1"
    key: str = "toy-key"

    def engine(self):
        if self.refusal:
            raise self.refusal
        self.alive = True
        return self

    def running(self):
        return self if self.alive else None

    def asking_with(self, hub_token):
        return self

    def stop(self):
        self.alive, self.stopped = False, self.stopped + 1

    def compare(self, engine, model_ids, messages, sampling, histories, bits, go_on=False):
        self.bits.append(bits)
        self.going_on.append(go_on)
        self.asked.append((model_ids, [history + messages for history in histories], sampling))
        self.streams.append(ToyStream(self.answers.pop(0), len(model_ids)))
        return self.streams[-1]

    def reading(self, engine, model_id, messages):
        text = [message["content"] for message in messages]
        return client.Reading(list(range(len(text))), text, [False] * len(text), 4096)

    def state(self, engine, patience):
        return client.State("folder", 16, self.held, adapters=0, answering=0, waiting=0, memory_bytes=1, lives=1)


@pytest.fixture
def toy(monkeypatch) -> ToyEngine:
    engine = ToyEngine()
    for name in ("engine", "running", "stop"):
        monkeypatch.setattr(process, name, getattr(engine, name))
    monkeypatch.setattr(client, "compare", engine.compare)
    monkeypatch.setattr(client, "reading", engine.reading)
    monkeypatch.setattr(client, "state", engine.state)
    for package in HEAVY:
        monkeypatch.setitem(sys.modules, package, None)
    return engine


def opened() -> AppTest:
    app = AppTest.from_file(str(ROOT / "studio" / "app.py"), default_timeout=30).run()
    return app.switch_page("../pages/chat.py").run()


def ask(app: AppTest, text: str) -> AppTest:
    return app.chat_input[0].set_value(text).run()


def said(app: AppTest) -> list[str]:
    return [message.markdown[0].value for message in app.chat_message if message.markdown]


def errors(app: AppTest) -> str:
    return " ".join(error.value.replace("\\", "") for error in app.error)


def finished_run(name: str, time: str = "101502") -> Job:
    """A finished run on the starter, with a checkpoint."""

    def adapter(folder):
        folder.mkdir(parents=True)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            (folder / name).write_text("{}")
        return folder

    return make_toy_run(f"20261123-{time}-{name}", "starter", adapter, steps=(5,), name=name)


@pytest.fixture
def run():
    return finished_run("tuned")


def test_a_question_is_answered_and_the_speed_is_told(toy):
    app = ask(opened(), "Hi")
    assert not app.exception
    assert [text.strip() for text in said(app)] == ["Hi", "Hello there."]
    assert (
        "2 tokens · " in app.chat_message[1].caption[0].value and "s to first" in app.chat_message[1].caption[0].value
    )
    assert toy.asked == [(["starter"], [[{"role": "user", "content": "Hi"}]], Sampling())]
    assert toy.streams[0].closed


def test_the_conversation_goes_on(toy):
    toy.answers = [["One."], ["Two."]]
    app = ask(ask(opened(), "First?"), "Second?")
    assert [text.strip() for text in said(app)] == ["First?", "One.", "Second?", "Two."]
    assert [message["role"] for message in toy.asked[1][1][0]] == ["user", "assistant", "user"]


@pytest.mark.parametrize("blank", [" ", "\n\t ", "\N{NO-BREAK SPACE}"])
def test_a_blank_message_is_not_sent(toy, blank):
    app = ask(opened(), blank)
    assert not app.exception and said(app) == [] and not toy.asked and chats.saved_chats() == []
    app = ask(ask(app, "Hi"), blank)
    assert [text.strip() for text in said(app)] == ["Hi", "Hello there."] and len(toy.asked) == 1


def test_an_error_is_a_sentence_and_the_question_can_be_sent_again(toy):
    toy.answers = [[EngineError("The chat engine ran out of memory.")], ["Now."]]
    app = ask(opened(), "Hi")
    assert "ran out of memory" in errors(app) and not app.exception
    app.button(key="chat:again").click().run()
    assert [text.strip() for text in said(app)] == ["Hi", "Now."] and not app.error
    assert len(toy.asked[1][1][0]) == 1


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
    app.number_input(key="chat:top k").set_value(20).run()
    app.text_area(key="chat:stop at").set_value("END\n\nUser:").run()
    app.text_area(key="chat:system").set_value(" Be brief. ").run()
    app.switch_page("../pages/lora.py").run()
    app.switch_page("../pages/chat.py").run()
    ask(app, "Hi")
    _, (messages,), sampling = toy.asked[0]
    assert (sampling.temperature, sampling.max_tokens, sampling.top_p) == (0.2, 64, 0.95)
    assert (sampling.top_k, sampling.stop, sampling.min_p) == (20, ("END", "User:"), 0)
    assert messages[0] == {"role": "system", "content": "Be brief."}


def test_the_newest_finished_run_answers_first(toy, run):
    app = opened()
    assert app.selectbox(key="chat:model").value == run.id
    assert "Tuned" in "".join(element.value for element in app.markdown)
    app.button_group(key="chat:example").set_value("Why was my card refused?").run()
    assert toy.asked[0][0] == [run.id] and toy.asked[0][1][0][0]["content"] == "Why was my card refused?"


def test_who_is_shown_answers_though_another_run_ends_meanwhile(toy, run):
    app = opened()
    newer = finished_run("newer", "101503")
    assert (
        app.selectbox(key="chat:model").value == run.id and ask(app, "Hi").selectbox(key="chat:model").value == run.id
    )
    assert toy.asked[0][0] == [run.id]
    app.switch_page("../pages/lora.py").run()
    assert app.switch_page("../pages/chat.py").run().selectbox(key="chat:model").value == newer.id


def test_a_base_or_a_checkpoint_can_be_chosen_and_stays_chosen(toy, run):
    app = opened()
    app.selectbox(key="chat:model").set_value(f"{run.id}@5").run()
    ask(app, "Hi")
    app.switch_page("../pages/lora.py").run()
    app.switch_page("../pages/chat.py").run()
    assert app.selectbox(key="chat:model").value == f"{run.id}@5" == toy.asked[0][0][0]
    app.selectbox(key="chat:model").set_value("starter").run()
    assert "Base" in "".join(element.value for element in app.markdown)
    assert "tuned · step 5" in app.chat_message[1].caption[0].value  # who had answered


def test_the_engine_can_be_unloaded_while_it_runs(toy):
    app = opened()
    assert not [button for button in app.button if button.key == "chat:unload"]
    app = ask(app, "Hi")
    app.button(key="chat:unload").click().run()
    assert toy.stopped == 1 and not [button for button in app.button if button.key == "chat:unload"]


def test_a_base_can_be_held_in_few_bits_and_the_answer_says_so(toy):
    toy.answers = [["One."], ["Two."]]
    app = opened()
    app.button_group(key="chat:bits").set_value(4).run()
    app = ask(app, "Hi")
    app.switch_page("../pages/lora.py").run()
    app.switch_page("../pages/chat.py").run()
    assert toy.bits == [4] and "in 4 bits" in app.chat_message[1].caption[0].value
    app.button_group(key="chat:bits").set_value(16).run()
    app.button(key="chat:again").click().run()
    assert toy.bits == [4, 16] and "bits" not in app.chat_message[1].caption[0].value


def memory_said(app: AppTest) -> list[str]:
    return [said.value.replace("\\", "") for said in [*app.warning, *app.caption] if "GB of memory" in said.value]


def test_the_memory_that_the_chat_needs_is_told_beside_a_training_or_where_it_is_not_there(toy, monkeypatch):
    here = replace(machine(home.home()), ram_bytes=16_000_000_000, ram_free_bytes=8_000_000_000, gpus=())
    monkeypatch.setattr(room, "machine", lambda folder: here)
    (alone,) = memory_said(opened())  # only in the popover
    assert alone.startswith("The model needs 0.6 GB of memory, and 8.0 GB are free.")

    job = make_job(0, "night run", "running", steps=100, reported=50)
    birth.write(job.files.process, birth.born(os.getpid()))
    assert any("night run is training" in said and said.endswith("you chat.") for said in memory_said(opened())[:1])
    job.files.process.unlink()

    here = replace(here, ram_free_bytes=300_000_000)
    app = opened()
    assert "Choose a smaller model or fewer bits" in app.warning[0].value
    # What the engine holds it gives back before it loads another model.
    toy.alive, toy.held = True, 400_000_000
    assert not app.run().warning


def test_an_answer_that_was_cut_says_so(toy, monkeypatch):
    app = opened()
    original = ToyStream.__iter__

    def cut(self):
        yield from original(self)
        self.all_stats[0].finish_reason = "length"

    monkeypatch.setattr(ToyStream, "__iter__", cut)
    app = ask(app, "Hi")
    assert "cut at max tokens" in app.chat_message[1].caption[0].value
    app = thumb(app, 1)
    assert "it has no end. Continue it, or" in app.chat_message[1].caption[1].value and rows("chat") == []
    app = ask(app, "And then?")
    assert "it has no end. *Correct this answer*" in app.chat_message[1].caption[1].value
    app = correct(app, "The whole answer.")
    assert len(app.chat_message[1].caption) == 1 and [row["kind"] for row in rows("chat")] == ["corrected"]


def test_a_stopped_answer_is_kept_closed_and_can_be_asked_again(toy):
    toy.answers = [["Half", StopException()], ["Whole."]]
    app = ask(opened(), "Hi")
    assert toy.streams[0].closed
    app.run()  # what the timer does in a browser
    assert [text.strip() for text in said(app)] == ["Hi", "Half"]
    assert app.chat_message[1].caption[0].value.endswith("stopped")
    app.button(key="chat:again").click().run()
    assert [text.strip() for text in said(app)] == ["Hi", "Whole."]
    assert [message["content"] for message in toy.asked[1][1][0]] == ["Hi"]


def test_an_answer_that_was_stopped_goes_on_where_it_was(toy):
    toy.answers = [["Half", StopException()], [" and", StopException()], [" the rest."]]
    app = thumb(ask(opened(), "Hi").run(), 1)
    reply = current(app).turns[0].answers[0]
    app = button(app, f"chat:continue:{reply.id}").click().run().run()
    assert said(app)[1].strip() == "Half and" and rows("chat") == []
    app = button(app, f"chat:continue:{reply.id}").click().run()
    assert [text.strip() for text in said(app)] == ["Hi", "Half and the rest."]
    assert toy.going_on == [False, True, True]
    assert [message["content"] for message in toy.asked[2][1][0]] == ["Hi", "Half and"]
    assert app.chat_message[1].caption[0].value.startswith("3 tokens") and len(app.chat_message[1].caption) == 1
    assert [row["messages"][-1]["content"] for row in rows("chat")] == ["Half and the rest."]
    assert chats.saved_chats()[0].turns[0].answers[0].content == "Half and the rest."
    assert not [found for found in app.button if found.key.startswith("chat:continue")]


def test_of_two_answers_the_one_that_was_cut_goes_on_alone_with_its_own_model_and_bits(toy, run):
    toy.answers = [[(0, "Whole."), (1, "Cut")], [" no more."]]
    app = ask(comparing(opened()), "Hi")
    whole, cut = current(app).turns[0].answers
    cut.finish_reason = "length"
    app.run()
    assert [found.key for found in app.button if found.key.startswith("chat:continue")] == [f"chat:continue:{cut.id}"]
    app = button(app, f"chat:continue:{cut.id}").click().run()
    assert not app.exception and (whole.content, cut.content) == ("Whole.", "Cut no more.")
    assert toy.asked[1][0] == [cut.model] and cut.whole


def test_a_cut_answer_of_which_no_more_came_is_what_it_was_and_can_be_voted_for(toy, run):
    toy.answers = [[(0, "Whole."), (1, "Cut")], [EngineError("It is 9 tokens long.")], [StopException()]]
    app = ask(comparing(opened()), "Hi")
    _, cut = current(app).turns[0].answers
    cut.finish_reason, before = "length", cut.model_copy(update={"finish_reason": "length"})
    app = button(app.run(), f"chat:continue:{cut.id}").click().run()
    assert "9 tokens long" in errors(app) and [found for found in app.button if found.key.startswith("chat:better")]
    app = button(app, f"chat:continue:{cut.id}").click().run()
    assert cut.model_dump() == before.model_dump() and not app.exception


def test_an_answer_from_before_there_were_panes_goes_on_in_its_own(toy, run):
    toy.answers = [["Half", StopException()], [" and", StopException()], [" whole."]]
    app = comparing(ask(opened(), "Hi").run())
    (reply,) = current(app).turns[0].answers
    app = button(app, f"chat:continue:{reply.id}").click().run()
    assert not app.exception and reply.content == "Half and"
    app = button(app.run(), f"chat:continue:{reply.id}").click().run()
    assert not app.exception and [text.strip() for text in said(app)] == ["Hi", "Half and whole."] * 2


def test_a_liked_answer_that_went_on_is_over_though_the_disk_is_full(toy, monkeypatch):
    toy.answers = [["Half", StopException()], [" and whole."]]
    app = thumb(ask(opened(), "Hi").run(), 1)

    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(feedback, "give", full)
    app = button(app, "chat:continue:").click().run()
    (turn,) = current(app).turns
    assert "The disk is full" in app.error[0].value and (turn.state, turn.going_on) == ("over", None)
    assert chats.saved_chats()[0].turns[0].answers[0].content == "Half and whole."


def test_what_fails_as_it_goes_on_keeps_its_words_and_can_go_on_again(toy):
    toy.answers = [["Half", StopException()], [EngineError("The adapter is damaged.")]]
    app = ask(opened(), "Hi").run()
    app = button(app, next(found.key for found in app.button if found.key.startswith("chat:continue"))).click().run()
    assert "The adapter is damaged." in errors(app) and said(app)[1].strip() == "Half"
    assert [found for found in app.button if found.key.startswith("chat:continue")]


def test_a_stop_before_the_first_word_leaves_only_the_question(toy):
    toy.answers = [["", StopException()]]
    app = ask(opened(), "Hi").run()
    assert next(text.strip() for text in said(app)) == "Hi" and not app.exception
    assert "Stopped before the first word." in [caption.value for caption in app.caption]


def test_a_run_of_the_page_beside_one_that_still_writes_waits_for_its_end(toy):
    app = opened()
    app.session_state["chat"] = Chat(turns=[Turn(question="Hi", state="writing")])
    app.run()
    assert ":shimmer[Stopping…]" in [caption.value for caption in app.caption]
    assert not [button for button in app.button if button.key == "chat:again"] and not toy.asked


# What is thought of an answer


def rows(name: str) -> list[dict]:
    path = home.feedback_file(name)
    return [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []


def current(app: AppTest) -> Chat:
    return app.session_state["chat"]


def button(app: AppTest, key: str):
    """The button whose key begins so: the rest is an id."""
    return next(found for found in app.button if found.key and found.key.startswith(key))


def thumb(app: AppTest, value: int | None) -> AppTest:
    widget = next(found for found in app.get("feedback") if found.key.startswith("chat:thumbs:"))
    return widget.set_value(value).run()


def more(app: AppTest, option: str, answer: int = 0) -> AppTest:
    menus = [found for found in app.get("menu_button") if found.key.startswith("chat:more:")]
    return menus[answer].set_value(option).run()


def correct(app: AppTest, text: str) -> AppTest:
    app = more(app, "Correct this answer")
    next(area for area in app.text_area if area.key.startswith("chat:correction:")).set_value(text).run()
    return app.button(key="chat:correction save").click().run()


def test_a_thumb_is_kept_as_data_with_the_conversation_and_can_be_taken_back(toy):
    app = thumb(ask(opened(), "Hi"), 1)
    assert not app.exception and [row["kind"] for row in rows("chat")] == ["liked"]
    assert chats.saved_chats()[0].turns[0].answers[0].liked is True
    assert "Feedback: 1 answer" in " ".join(caption.value for caption in app.caption)
    app = thumb(app, None)
    assert rows("chat") == [] and current(app).turns[0].answers[0].liked is None


def test_a_correction_takes_the_answer_s_place_for_the_reader_the_model_and_the_data(toy):
    toy.answers = [["Wrong."], ["Next."]]
    app = correct(ask(opened(), "Hi"), "<b>Right.</b>")
    assert said(app)[1].strip() == "\\<b>Right.\\</b>" and "corrected" in app.chat_message[1].caption[0].value
    assert rows("chat")[0]["messages"][-1]["content"] == "<b>Right.</b>"
    assert rows("chat-pairs")[0]["rejected"][0]["content"] == "Wrong."
    app = ask(app, "And?")
    assert toy.asked[1][1][0][1] == {"role": "assistant", "content": "<b>Right.</b>"}


# Ask anew


def test_an_answer_can_be_had_again(toy):
    toy.answers = [["One."], ["Two."]]
    app = ask(opened(), "Hi")
    app.button(key="chat:again").click().run()
    assert [text.strip() for text in said(app)] == ["Hi", "Two."] and toy.asked[1][1] == toy.asked[0][1]


def test_a_question_can_be_edited_and_what_came_after_it_goes(toy):
    toy.answers = [["One."], ["Two."], ["Three."]]
    app = ask(ask(opened(), "First?"), "Second?")
    button(app, "chat:edit:").click().run()
    area = next(area for area in app.text_area if area.key.startswith("chat:edited:"))
    area.set_value("Changed?").run()
    assert app.button(key="chat:resend").label == "Send again, dropping 1 below"
    app.button(key="chat:resend").click().run()
    assert [text.strip() for text in said(app)] == ["Changed?", "Three."]
    assert app.text_input(key=f"chat:name:{current(app).id}").value == "Changed?"


def test_a_conversation_whose_name_is_emptied_is_called_by_its_question_again(toy):
    toy.answers = [["One."]]
    app = ask(opened(), "First?")
    for name, shown in (("Mine", "Mine"), ("", "First?")):
        app.text_input(key=f"chat:name:{current(app).id}").set_value(name).run()
        assert app.text_input(key=f"chat:name:{current(app).id}").value == shown == chats.saved_chats()[0].title


# Saved


def test_a_conversation_is_saved_found_opened_renamed_and_deleted(toy):
    toy.answers = [["Blue whales sing."], ["Other."], ["They bark."]]
    app = opened()
    app.text_area(key="chat:system").set_value("Be brief.").run()
    app = ask(app, "What of whales?")
    first = current(app).id
    app.button(key="chat:new").click().run()
    app.text_area(key="chat:system").set_value("").run()
    app = ask(app, "Something else?")
    app.text_input(key="chat:search").set_value("nowhere").run()
    assert "Nothing holds these words." in [caption.value for caption in app.caption]
    app.text_input(key="chat:search").set_value("WHALES SING").run()
    app.button(key=f"chat:open:{first}").click().run()
    assert [text.strip() for text in said(app)] == ["What of whales?", "Blue whales sing."]
    # In a new field: the browser would go on saying what the old one in its closed popover last held.
    prompts = {box.key: box.value for box in app.text_area if box.label == "System prompt"}
    assert list(prompts.values()) == ["Be brief."] and "chat:system" not in prompts
    ask(app, "And of seals?")
    assert toy.asked[-1][1][0][0] == {"role": "system", "content": "Be brief."}
    app.text_input(key=f"chat:name:{first}").set_value("Whales").run()
    assert {chat.title for chat in chats.saved_chats()} == {"Whales", "Something else?"}
    app.button(key="chat:delete yes").click().run()
    assert [chat.title for chat in chats.saved_chats()] == ["Something else?"] and said(app) == []


def test_a_chat_that_began_with_a_blank_message_can_be_opened(toy):
    chats.save(Chat(id="blank", turns=[Turn(question="  ")]))
    app = opened()
    assert app.button(key="chat:open:blank").label == "Untitled chat"
    app.button(key="chat:open:blank").click().run()
    assert not app.exception and current(app).id == "blank"
    assert Chat(turns=[Turn(question="  "), Turn(question="Are you there?")]).title == "Are you there?"


def reloaded(app: AppTest) -> AppTest:
    """A new tab with the address of this one."""
    again = AppTest.from_file(str(ROOT / "studio" / "app.py"), default_timeout=30).run()
    again.query_params["chat"] = app.query_params["chat"]
    return again.switch_page("../pages/chat.py").run()


def test_a_reload_shows_the_same_conversation(toy):
    again = reloaded(ask(opened(), "Hi"))
    assert [text.strip() for text in said(again)] == ["Hi", "Hello there."]
    again.button(key="chat:new").click().run()
    assert said(again) == [] and "chat" not in again.query_params


def test_two_tabs_go_on_with_one_conversation(toy):
    toy.answers = [["One."], ["Two."], ["Three."]]
    app = ask(opened(), "First?")
    again = ask(reloaded(app), "Second?")
    app = ask(app, "Third?")
    assert [text.strip() for text in said(app)] == ["First?", "One.", "Second?", "Two.", "Third?", "Three."]
    assert len(chats.saved_chats()) == 1 and not again.exception


def test_a_damaged_file_among_the_conversations_is_named_and_hides_no_other(toy):
    app = ask(opened(), "Hi")
    (home.chats_folder() / "bad.json").write_text('{"turns": 3')
    app.button(key="chat:new").click().run()
    assert [found.label for found in app.button if found.key.startswith("chat:open:")] == ["Hi"]
    assert "bad.json" in " ".join(caption.value for caption in app.caption)


# Compare


def comparing(app: AppTest, blind: bool = False) -> AppTest:
    app.toggle(key="chat:compare").set_value(True).run()
    return app.toggle(key="chat:blind").set_value(True).run() if blind else app


def test_base_and_tuned_answer_side_by_side_each_after_its_own_history(toy, run):
    toy.answers = [[(0, "T"), (1, "B"), (0, "1"), (1, "1")], [(1, "B2"), (0, "T2")]]
    app = ask(ask(comparing(opened()), "Hi"), "And?")
    assert not app.exception and toy.asked[0][0] == [run.id, "starter"]
    assert [text.strip() for text in said(app)] == ["Hi", "T1", "And?", "T2", "Hi", "B1", "And?", "B2"]
    assert [history[1]["content"] for history in toy.asked[1][1]] == ["T1", "B1"]


@pytest.mark.parametrize(("named", "base"), [("HuggingFaceTB/SmolLM2-135M-Instruct", "starter"), ("a/base", "a/base")])
def test_beside_an_adapter_of_a_folder_its_base_answers(toy, run, tmp_path, named, base):
    adapter = str(shutil.copytree(run.files.adapter, tmp_path / "adapter"))
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": named}))
    app = opened()
    app.session_state["fact:chat model 0"] = adapter  # as it is written into the list
    assert models(comparing(app.run())) == [adapter, base]


def heights(app: AppTest) -> list[int]:
    """Of the containers in the page that scroll by themselves, in pixels."""
    found = list(app.main.children.values())
    for part in found:
        found += getattr(part, "children", {}).values()
    fixed = (part.proto.height_config.pixel_height for part in found if hasattr(part.proto, "height_config"))
    return [height for height in fixed if height]


def test_panes_are_low_until_something_is_said(toy, run):
    toy.answers = [[(0, "T"), (1, "B")]]
    app = comparing(opened())
    assert len(models(app)) == 2 and heights(app) == []
    assert heights(ask(app, "Hi")) == [460, 460]


def test_a_conversation_with_one_model_goes_on_with_two(toy, run):
    toy.answers = [["One."], [(0, "T"), (1, "B")], ["Alone."]]
    app = ask(comparing(ask(opened(), "Hi")), "And?")
    assert not app.exception and [text.strip() for text in said(app)] == [
        "Hi",
        "One.",
        "And?",
        "T",
        "Hi",
        "One.",
        "And?",
        "B",
    ]
    assert len(app.get("feedback")) == 3
    app.toggle(key="chat:compare").set_value(False).run()
    assert [text.strip() for text in said(ask(app, "Last?"))] == ["Hi", "One.", "And?", "T", "Last?", "Alone."]


def models(app: AppTest) -> list[str]:
    return [box.value for box in app.selectbox if box.key.startswith("chat:model")]


def test_a_reload_shows_the_answers_of_all_models_again(toy, run):
    toy.answers = [[(0, "S"), (1, "T"), (2, "F")]]
    app = comparing(opened())
    app.button(key="chat:more").click().run()
    app.selectbox(key="chat:model").set_value(f"{run.id}@5").run()
    chosen = models(ask(app, "Hi"))
    again = reloaded(app)
    assert not again.exception and again.toggle(key="chat:compare").value and len(chosen) == 3
    assert models(again) == chosen == toy.asked[0][0]
    assert [text.strip() for text in said(again)] == ["Hi", "S", "Hi", "T", "Hi", "F"]


def test_a_reload_tells_no_hidden_name(toy, run):
    toy.answers = [[(0, "T"), (1, "B")]]
    again = reloaded(ask(comparing(opened(), blind=True), "Hi"))
    assert again.toggle(key="chat:blind").value and models(again) == [] and len(said(again)) == 4


def test_an_opened_chat_goes_on_with_the_models_it_had(toy, run):
    toy.answers = [["Alone."], [(0, "T"), (1, "B")]]
    app = opened()
    app.selectbox(key="chat:model").set_value("starter").run()
    app = ask(app, "One?")
    alone = current(app).id
    app.button(key="chat:new").click().run()
    app = ask(comparing(app), "Two?")
    both, chosen = current(app).id, models(app)
    app.selectbox(key="chat:model").set_value(run.id).run()
    app.button(key=f"chat:open:{alone}").click().run()
    assert models(app) == ["starter"] and not app.toggle(key="chat:compare").value
    app.button(key=f"chat:open:{both}").click().run()
    assert models(app) == chosen and len(chosen) == 2 and app.toggle(key="chat:compare").value


def test_an_app_that_was_begun_in_a_models_folder_lists_no_model_without_a_name(toy, tmp_path, monkeypatch):
    (tmp_path / "config.json").touch()
    monkeypatch.chdir(tmp_path)
    assert opened().selectbox(key="chat:model").options == ["SmolLM2 135M (built in)"]


def test_of_two_folders_of_one_name_each_can_be_chosen(toy, tmp_path, monkeypatch):
    folders = [str(tmp_path / parent / "final") for parent in ("one", "two")]
    for number, folder in enumerate(folders, start=1):
        make_job(number, model={"source": folder})
    app = opened()
    for folder in folders:
        app.selectbox(key="chat:model").set_value(folder).run()
        assert models(app) == [folder]


def test_a_chat_whose_model_is_gone_opens_with_another(toy, run):
    toy.answers = [[(0, "T"), (1, "B")]]
    app = ask(comparing(opened()), "Hi")
    shutil.rmtree(run.folder)
    again = reloaded(app)
    assert not again.exception and [text.strip() for text in said(again)] == ["Hi", "T", "Hi", "B"]
    assert "tuned" in again.chat_message[1].caption[0].value  # who had answered


def test_a_question_to_a_checkpoint_that_is_gone_is_answered_by_no_other_until_sent_again(toy, run):
    toy.answers = [["One."], ["Two."]]
    app = opened()
    app.selectbox(key="chat:model").set_value(f"{run.id}@5").run()
    app = ask(app, "First?")
    shutil.rmtree(run.files.checkpoint(5))
    app = ask(app, "Second?")
    assert [text.strip() for text in said(app)] == ["First?", "One.", "Second?"] and len(toy.asked) == 1
    assert "is not there any more. tuned stands in its place." in app.toast[0].value
    app.button(key="chat:again").click().run()
    assert not app.toast and (models(app), toy.asked[1][0]) == ([run.id], [run.id])


def test_up_to_four_can_be_compared_and_taken_out_again(toy, run):
    app = comparing(opened())
    for _ in range(2):
        app.button(key="chat:more").click().run()
    boxes = [box.value for box in app.selectbox if box.key.startswith("chat:model")]
    assert boxes[:3] == [run.id, "starter", f"{run.id}@5"] and len(boxes) == 4
    assert not [found for found in app.button if found.key == "chat:more"]
    app.button(key="chat:less:1").click().run()
    assert [box.value for box in app.selectbox if box.key.startswith("chat:model")][:2] == [run.id, f"{run.id}@5"]


def test_of_two_answers_one_that_fails_leaves_the_other(toy, run):
    def fails(stream):
        yield 1, "Fine."
        stream.errors[0] = "The adapter is damaged."
        stream.all_stats[1].finish_reason = "stop"

    app = comparing(opened())
    toy.answers = [[]]
    original, ToyStream.__iter__ = ToyStream.__iter__, fails
    try:
        app = ask(app, "Hi")
    finally:
        ToyStream.__iter__ = original
    assert "The adapter is damaged" in errors(app) and said(app)[-1].strip() == "Fine."
    assert not [found for found in app.button if found.key.startswith("chat:better")]


def test_the_better_answer_is_a_pair_to_train_on_and_no_vote_of_the_tally(toy, run):
    toy.answers = [[(0, "Good."), (1, "Bad.")]]
    app = ask(comparing(opened()), "Hi")
    better = current(app).turns[0].answers[0].id
    button(app, f"chat:better:{current(app).turns[0].id}:{better}").click().run()
    (pair,) = rows("chat-pairs")
    assert (pair["model"], pair["over"], pair["rejected"][0]["content"]) == (run.id, "starter", "Bad.")
    button(app, f"chat:better:{current(app).turns[0].id}:{better}").click().run()
    assert rows("chat-pairs") == [] and votes.tallies() == []


def test_a_vote_for_an_answer_without_its_end_says_that_it_teaches_nothing(toy, run):
    toy.answers = [[(0, "Because the"), (1, "Bad.")]]
    app = ask(comparing(opened()), "Hi")
    turn = current(app).turns[0]
    turn.answers[0].finish_reason = "length"
    app = button(app, f"chat:better:{turn.id}:{turn.answers[0].id}").click().run()
    assert "Not kept to train on: the better answer has no end." in [caption.value for caption in app.caption]
    assert rows("chat-pairs") == []
    app = button(app, f"chat:better:{turn.id}:{turn.answers[1].id}").click().run()
    assert len(rows("chat-pairs")) == 1 and not [found for found in app.caption if "no end" in found.value]


@pytest.mark.parametrize("seed", [None, 3], ids=["open", "blind"])
def test_where_an_answer_was_corrected_the_vote_is_on_the_correction_and_counts_for_no_model(seed):
    answers = [chats.Reply(model=name, label=name, tuned=False, content=name, stopped=False) for name in ("a", "b")]
    turn = Turn(question="Hi", answers=answers, state="over", seed=seed)
    answers[1].correction = "Better."
    _vote(Chat(turns=[turn]), turn, answers[1].id)
    (pair,) = rows("chat-pairs")
    assert [pair[name][0]["content"] for name in ("chosen", "rejected")] == ["Better.", "a"]
    assert votes.tallies() == []


def test_a_correction_after_the_vote_is_the_pair_s_until_it_is_taken_back(toy, run):
    toy.answers = [[(0, "Because the"), (1, "Bad.")]]
    app = ask(comparing(opened()), "Hi")
    turn = current(app).turns[0]
    turn.answers[0].finish_reason = "length"
    app = button(app, f"chat:better:{turn.id}:{turn.answers[0].id}").click().run()
    app = correct(app, "Because the pole is bent.")
    preferred = [row for row in rows("chat-pairs") if row["kind"] == "preferred"]
    assert [(pair["chosen"][0]["content"], pair["rejected"][0]["content"]) for pair in preferred] == [
        ("Because the pole is bent.", "Bad.")
    ]
    app = more(app, "Correct this answer")
    app.button(key="chat:correction back").click().run()
    assert rows("chat-pairs") == [] and not app.exception


def test_a_blind_vote_hides_the_names_until_it_is_given_and_counts(toy, run):
    toy.answers = [[(0, "Tuned."), (1, "Base.")]]
    app = ask(comparing(opened(), blind=True), "Hi")
    turn = current(app).turns[0]
    assert not [box for box in app.selectbox if box.key.startswith("chat:model")]
    shown = " ".join(element.value for element in [*app.markdown, *app.caption])
    assert "Answer A" in shown and "tuned" not in shown and "SmolLM2" not in shown
    places = [turn.answers[turn.pane_at(place)].content for place in (0, 1)]
    assert [text.strip() for text in said(app)] == ["Hi", places[0], "Hi", places[1]]
    button(app, f"chat:better:{turn.id}:{turn.answers[0].id}").click().run()
    shown = " ".join(element.value for element in app.markdown)
    assert "You chose **tuned**" in shown
    (tally,) = votes.tallies()
    first_is_tuned = tally.model == "tuned"
    assert (tally.wins, tally.ties, tally.losses) == ((1, 0, 0) if first_is_tuned else (0, 0, 1))
    assert rows("chat-pairs")[0]["chosen"][0]["content"] == "Tuned."


@pytest.mark.parametrize("switched_off", ["chat:blind", "chat:compare"])
def test_where_blind_is_switched_off_before_the_vote_no_answer_passes_for_the_model_named_above_it(
    toy, run, switched_off
):
    toy.answers = [[(0, "T"), (1, "B")]]
    app = ask(comparing(opened(), blind=True), "Hi")
    assert not any("Answer A" in caption.value for caption in app.caption)
    app.toggle(key=switched_off).set_value(False).run()
    badges = [caption.value.split("]")[0] for caption in app.caption if "-badge[" in caption.value]
    assert badges == [":gray-badge[Answer A", ":gray-badge[Answer B"][: len(models(app))]


def test_the_vote_on_a_later_turn_reveals_the_earlier_ones_which_stood_in_the_same_order(toy, run):
    toy.answers = [[(0, "T"), (1, "B")], [(0, "T2"), (1, "B2")]]
    app = ask(ask(comparing(opened(), blind=True), "Hi"), "And?")
    first, second = current(app).turns
    assert first.seed == second.seed and first.hidden and second.hidden
    button(app, f"chat:better:{second.id}:tie").click().run()
    assert not first.hidden and not second.hidden and len(votes.tallies()) == 1


# What stands behind it


def test_the_prompt_is_shown_on_demand(toy):
    app = more(ask(opened(), "Hi <b>"), "Prompt as the model sees it")
    shown = app.get("html")[0].proto.body
    assert not app.exception and "Hi &lt;b&gt;" in shown and "id 0" in shown


def test_what_of_the_context_is_used_is_told(toy):
    assert "context 7 of 4,096" in ask(opened(), "Hi").chat_message[1].caption[0].value


def test_address_key_and_examples_are_there_once_the_engine_runs(toy):
    app = opened()
    assert not app.code
    app.button(key="chat:start engine").click().run()
    shown = [block.value for block in app.code]
    assert shown[:2] == ["http://127.0.0.1:1/v1", "toy-key"] and "curl http://127.0.0.1:1/v1/chat" in shown[2]
    compile(shown[3], "example", "exec")
