"""The parts of the chat engine alone: what requests may say, text out of tokens, prompts, adapters on a base."""

import asyncio
import json
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.decoders import Metaspace as MetaspaceDecoder
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from core import talk
from core.errors import ModelError, StudioError
from core.inference import answering, api, cpu, prompt, warm
from core.inference import weights as weights_file
from core.inference.batch import Row
from core.inference.choices import ChatModel, Target, choices, named, target_of
from core.inference.cpu import LONG_INPUT, quicken
from core.inference.engine import Engine
from core.inference.prompt import ends_of, read
from core.inference.protocol import Message, RequestError, parse
from core.inference.text import TextPieces
from core.models.load import Found, load_base
from tests.toy_model import CONTEXT, make_toy_adapter, make_toy_model, toy_tokenizer
from tests.toy_run import make_toy_run

pytestmark = pytest.mark.process

HELLO = {"model": "toy", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    """A toy has no work for two, and beside other tests they would wait for each other."""
    monkeypatch.setattr(cpu, "CORES", 1)
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def other_toy(tmp_path_factory) -> Path:
    return make_toy_model(tmp_path_factory.mktemp("models") / "other", seed=8)


class Ear:
    """Hears an answer to its end, or cancels it after so many tokens."""

    def __init__(self, patience: int | None = None):
        self.cancelled = threading.Event()
        self.text = ""
        self.tokens = 0
        self.patience = patience
        self.reason: str | None = None
        self.error: StudioError | None = None

    def finish(self, reason: str) -> None:
        self.reason = reason

    def fail(self, error: StudioError) -> None:
        self.error = error

    def pause(self) -> None:
        pass

    def say(self, text: str, tokens: int) -> None:
        self.text += text
        self.tokens = tokens
        if tokens == self.patience:
            self.cancelled.set()


def write(engine: Engine, rows: list[Row]) -> None:
    """Let an engine answer, with nobody beside who wants a turn."""
    for work in engine.works(rows):
        while work.turn():
            pass


def answer(engine: Engine, model: Path, adapter: Path | None = None, ear: Ear | None = None, **asked) -> str:
    ear = ear or Ear()
    request = parse(HELLO | {"temperature": 0, "max_tokens": 30} | asked)
    target = Target(str(model), adapter=adapter)
    write(engine, [Row(request, target, read(target, request.messages), ear)])
    if ear.error:
        raise ear.error
    return ear.text


# What a request may say


def test_nulls_and_harmless_settings_of_other_clients_are_accepted():
    ask = parse(HELLO | {"max_tokens": None, "stop": None, "user": "me", "n": 1, "presence_penalty": 0.0})
    assert (ask.longest, ask.stop, ask.temperature) == (None, [], 1.0)


def test_what_a_client_says_it_does_not_want_is_accepted_and_a_developers_turn_is_the_systems():
    turns = [{"role": "developer", "content": "Be brief."}, *HELLO["messages"]]
    ask = parse(HELLO | {"messages": turns, "logprobs": False, "response_format": {"type": "text"}})
    assert ask.messages[0] == Message(role="system", content="Be brief.")


def test_an_answer_can_be_given_back_as_a_client_holds_it():
    held = openai.types.chat.ChatCompletionMessage(role="assistant", content="Hello").model_dump()
    assert held["tool_calls"] is None and held["refusal"] is None
    assert parse(HELLO | {"messages": [*HELLO["messages"], held]}).messages[-1] == Message(
        role="assistant", content="Hello"
    )


def test_content_in_parts_is_joined_and_one_stop_text_may_stand_alone():
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    ask = parse({"model": "toy", "messages": [{"role": "user", "content": parts}], "stop": "END"})
    assert (ask.messages[0].content, ask.stop) == ("Hello", ["END"])


@pytest.mark.parametrize("go_on", [False, True])
def test_what_vllm_wants_beside_it_may_say_whether_the_answer_is_begun(go_on):
    ask = parse(HELLO | {"add_generation_prompt": not go_on, "continue_final_message": go_on})
    assert ask.continue_final_message is go_on


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"temperature": 5}, "temperature: 5 is too large, it must be at most 2"),
        ({"top_p": 0}, "top_p: 0 is too small"),
        ({"max_tokens": 0}, "max_tokens: 0 is too small"),
        ({"messages": []}, "messages: at least one"),
        ({"messages": [{"role": "wizard", "content": "Hi"}]}, "messages[0].role: 'wizard' is not one of"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content"),
        ({"tools": [{}]}, "tools: unknown key"),
        ({"n": 2}, "n: 2 is too large"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"seed": "x"}, "seed"),
        ({"temperature": float("nan")}, "temperature"),
        ({"add_generation_prompt": False}, "add_generation_prompt: an answer is begun (true) or goes on"),
        ({"add_generation_prompt": True, "continue_final_message": True}, "add_generation_prompt: an answer is begun"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(change, named):
    with pytest.raises(RequestError) as refusal:
        parse(HELLO | change)
    assert named in str(refusal.value)


def test_all_problems_of_a_request_come_at_once():
    with pytest.raises(RequestError, match=r"temperature.*top_p.*tools"):
        parse(HELLO | {"temperature": 5, "top_p": 2, "tools": []})


@pytest.mark.parametrize("values", [None, [], "text", 7])
def test_a_request_is_an_object(values):
    with pytest.raises(RequestError, match="JSON object"):
        parse(values)


# Text out of tokens


def pieces_of(text: str, stops: list[str] | None = None) -> list[str]:
    tokenizer = toy_tokenizer()
    stream = TextPieces(tokenizer, stops or [])
    return [*(stream.add(token) for token in tokenizer(text)["input_ids"] if not stream.stopped), stream.rest()]


@pytest.mark.parametrize("text", ["Hi 👩‍🚀 über 日本語 שלום", "<script>alert('1')</script> & <b>", "a\n\n  b\t", "a�b"])
def test_any_text_comes_out_as_it_was(text):
    assert "".join(pieces_of(text)) == text


def test_an_emoji_of_many_tokens_comes_in_one_piece():
    assert [piece for piece in pieces_of("a👩🚀b") if piece] == ["a", "👩", "🚀", "b"]


def test_an_emoji_that_was_cut_off_is_left_out():
    tokenizer = toy_tokenizer()
    stream = TextPieces(tokenizer, [])
    cut = tokenizer("ok 🚀")["input_ids"][:-1]
    assert "".join([*map(stream.add, cut), stream.rest()]) == "ok "


@pytest.mark.parametrize(
    ("stops", "seen"),
    [
        (["END"], "one "),
        (["zzz"], "one END two"),
        (["two", "END"], "one "),
        (["ND t"], "one E"),
        (["twofold"], "one END two"),
    ],
)
def test_nothing_from_a_stop_text_on_is_seen(stops, seen):
    assert "".join(pieces_of("one END two", stops)) == seen


@pytest.mark.parametrize(
    ("begun", "seen"), [("one E", ""), ("one EN", ""), ("one ", ""), ("o", "ne "), ("one END t", "wo")]
)
def test_a_stop_text_that_begins_in_what_was_said_before_ends_what_goes_on(begun, seen):
    tokenizer = toy_tokenizer()
    pieces = TextPieces(tokenizer, ["END"], begun=begun)
    tokens = tokenizer("one END two".removeprefix(begun), add_special_tokens=False)["input_ids"]
    assert "".join([*(pieces.add(token) for token in tokens if not pieces.stopped), pieces.rest()]) == seen


def test_the_template_s_tokens_are_not_text():
    assert "".join(pieces_of("<|im_start|>yes<|im_end|>")) == "yes"


# Prompts


def test_an_answer_ends_at_the_tokenizer_s_end_and_at_the_template_s_end_of_turn():
    tokenizer = toy_tokenizer()
    tokenizer.eos_token = "<|endoftext|>"
    assert ends_of(tokenizer) == set(tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"]))


def test_the_prompt_is_the_template_s_and_what_is_left_is_room(toy):
    prompt = read(Target(str(toy)), [Message(role="user", content="Hi")])
    assert prompt.tokenizer.decode(prompt.ids) == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert prompt.room == CONTEXT - len(prompt.ids)


def test_nobody_waits_for_the_download_of_another(toy, monkeypatch):
    begun, over, fetch = threading.Event(), threading.Event(), prompt.fetch_base

    def slow(source, *rest, **named):
        if source == "owner/large":
            begun.set()
            over.wait(10)
        return fetch(str(toy), *rest, **named)

    monkeypatch.setattr(prompt, "fetch_base", slow)
    with ThreadPoolExecutor(2) as pool:
        large = pool.submit(read, Target("owner/large"), [Message(role="user", content="Hi")])
        assert begun.wait(5)
        small = pool.submit(read, Target(str(toy)), [Message(role="user", content="Hi")])
        try:
            assert small.result(5).ids and not large.done()
        finally:
            over.set()


def test_a_stream_lives_while_its_model_is_downloaded_and_ends_with_its_reader(monkeypatch):
    monkeypatch.setattr(api, "REFUSED_WITHIN_S", 0.01)
    monkeypatch.setattr(api, "SIGN_OF_LIFE_S", 0.01)

    async def refused() -> None:
        await asyncio.sleep(0.1)
        raise ModelError("It is not there.")

    async def leave(message: dict | None = None) -> dict:
        return {"type": "http.disconnect"}

    async def both() -> tuple[list[str], bool]:
        late = await api._streamed(refused(), [{"index": 0}, {"index": 1}])
        said = [event async for event in late.body_iterator]
        left = await api._streamed(asyncio.Event().wait(), [{}])
        await left({"type": "http"}, leave, leave)
        await asyncio.sleep(0)
        return said, left.beginning.cancelled()

    (first, *_, one, other, done), cancelled = asyncio.run(both())
    assert (first, done) == (api.WAITING, api.DONE) and cancelled
    assert "It is not there." in one and '"index": 0' in one and '"index": 1' in other


def test_an_answer_that_goes_on_is_read_to_the_end_of_its_words(toy):
    asked, begun = Message(role="user", content="Hi"), Message(role="assistant", content="the  <b> ")
    prompt = read(Target(str(toy)), [asked, begun], go_on=True)
    assert prompt.tokenizer.decode(prompt.ids).endswith("<|im_start|>assistant\nthe  <b> ") and prompt.begun


@pytest.mark.parametrize(
    "said", [[("user", "Hi")], [("assistant", "Hi")], [("user", "Hi"), ("assistant", "")]], ids=str
)
def test_only_the_words_of_an_assistant_can_go_on(toy, said):
    with pytest.raises(RequestError, match="continue_final_message: the last message is what was answered so far"):
        read(Target(str(toy)), [Message(role=role, content=content) for role, content in said], go_on=True)


def test_a_text_that_goes_on_keeps_its_first_space():
    fast = Tokenizer(WordLevel({"▁the": 0, "▁sun": 1, "?": 2}, unk_token="?"))
    fast.decoder = MetaspaceDecoder()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=fast)
    assert TextPieces(tokenizer, []).add(1) == "sun"
    assert TextPieces(tokenizer, [], before=[0]).add(1) == " sun"


def test_a_run_s_own_template_is_used(toy):
    prompt = read(Target(str(toy), chat_template="{{ messages[0].content }}!"), [Message(role="user", content="Hi")])
    assert prompt.tokenizer.decode(prompt.ids) == "Hi!"


def test_a_base_without_a_template_borrows_one_and_else_says_what_is_missing(tmp_path):
    bare = make_toy_model(tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    turns = [Message(role="user", content="Hi")]
    assert read(Target(str(bare), spare_template="{{ messages[0].content }}?"), turns).ids
    with pytest.raises(RequestError, match="bare has no chat template"):
        read(Target(str(bare)), turns)


@pytest.mark.parametrize(
    ("picky", "why"),
    [("{{ raise_exception('System role not supported') }}", "System role not supported"), ("{{ 1 / 0 }}", "by zero")],
)
def test_a_conversation_that_the_template_refuses_is_named(toy, picky, why):
    with pytest.raises(RequestError, match=why):
        read(Target(str(toy), chat_template=picky), [Message(role="system", content="Hi")])


# A base and adapters in memory


def test_the_base_answers_alike_before_with_and_after_adapters(toy, tmp_path):
    engine, one, two = Engine(), make_toy_adapter(tmp_path / "1", toy, 1), make_toy_adapter(tmp_path / "2", toy, 2)
    alone = answer(engine, toy)
    tuned = [answer(engine, toy, one), answer(engine, toy, two)]
    assert len({alone, *tuned}) == 3
    assert answer(engine, toy) == alone
    assert [answer(engine, toy, one), answer(engine, toy, two)] == tuned
    assert answer(engine, toy) == alone == answer(Engine(), toy)


def test_an_adapter_answers_as_if_it_were_alone(toy, tmp_path):
    engine, one, two = Engine(), make_toy_adapter(tmp_path / "1", toy, 1), make_toy_adapter(tmp_path / "2", toy, 2)
    both = [answer(engine, toy, one), answer(engine, toy, two)]
    assert both == [answer(Engine(), toy, one), answer(Engine(), toy, two)]


def test_only_the_last_few_adapters_stay_in_memory(toy, tmp_path):
    engine = Engine()
    adapters = [make_toy_adapter(tmp_path / str(seed), toy, seed) for seed in range(weights_file.MOST_ADAPTERS + 2)]
    answers = [answer(engine, toy, adapter) for adapter in adapters]
    assert len(engine.weights.adapted.peft_config) == weights_file.MOST_ADAPTERS
    assert [answer(engine, toy, adapter) for adapter in adapters] == answers


def test_an_adapter_that_was_written_anew_is_loaded_anew(toy, tmp_path):
    engine = Engine()
    before = answer(engine, toy, make_toy_adapter(tmp_path / "run", toy, 1))
    assert answer(engine, toy, make_toy_adapter(tmp_path / "run", toy, 2)) != before


def test_a_base_is_freed_before_another_is_loaded(toy, other_toy, tmp_path, monkeypatch):
    engine = Engine()
    answer(engine, toy, make_toy_adapter(tmp_path / "1", toy))
    old = weakref.ref(engine.weights.base)
    seen = []
    monkeypatch.setattr(weights_file, "load_base", lambda *found: seen.append(old()) or load_base(*found))
    assert answer(engine, other_toy) != answer(engine, toy)
    assert seen[0] is None


def spoil(folder: Path, change: Callable[[dict], dict]) -> Path:
    file = folder / "adapter_model.safetensors"
    save_file(change(load_file(file)), file)
    return folder


def truncated(folder: Path) -> Path:
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:200])
    return folder


DAMAGES = {
    "not JSON": lambda folder, toy: (folder / "adapter_config.json").write_text("{"),
    "cut off": lambda folder, toy: truncated(folder),
    "weights missing": lambda folder, toy: spoil(folder, lambda all: dict(list(all.items())[2:])),
    "of a wider model": lambda folder, toy: spoil(
        folder, lambda all: {k: torch.cat([v, v], dim=1).contiguous() for k, v in all.items()}
    ),
    "of a deeper model": lambda folder, toy: spoil(
        folder, lambda all: all | {k.replace("layers.0", "layers.9"): v.clone() for k, v in all.items()}
    ),
}


@pytest.mark.parametrize("first", [True, False], ids=["the first adapter", "beside another"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_an_adapter_that_does_not_fit_is_refused_and_the_base_is_as_before(damage, first, toy, tmp_path):
    engine, broken = Engine(), make_toy_adapter(tmp_path / "broken", toy)
    alone = answer(engine, toy)
    if not first:
        answer(engine, toy, make_toy_adapter(tmp_path / "fine", toy))
    DAMAGES[damage](broken, toy)
    with pytest.raises(ModelError, match="is damaged or belongs to another base model"):
        answer(engine, toy, broken)
    assert answer(engine, toy) == alone
    another = make_toy_adapter(tmp_path / "another", toy, 2)
    assert answer(engine, toy, another) == answer(Engine(), toy, another)


def test_an_adapter_that_is_gone_is_named(toy, tmp_path):
    with pytest.raises(ModelError, match="There is no adapter in"):
        answer(Engine(), toy, tmp_path / "nowhere")


# Sampling and ending


def test_the_same_seed_gives_the_same_answer_and_no_seed_a_new_one(toy):
    engine = Engine()
    seeded = [answer(engine, toy, temperature=1, seed=5) for _ in range(2)]
    # One answer in twenty of a toy is empty, so that two alone may be the same by chance.
    unseeded = [answer(engine, toy, temperature=1) for _ in range(8)]
    assert seeded[0] == seeded[1] and len({*seeded, *unseeded}) >= 3


def test_a_cancelled_answer_ends_at_once_and_one_cancelled_early_loads_nothing(toy):
    engine, ear = Engine(), Ear()
    ear.cancelled.set()
    answer(engine, toy, ear=ear)
    assert engine.weights.base is None and ear.tokens == 0
    patient = Ear(patience=3)
    answer(engine, toy, ear=patient, temperature=1, seed=5)
    assert patient.tokens == 3


def test_an_answer_ends_where_the_context_does(toy):
    request = parse(HELLO | {"temperature": 0, "max_tokens": 10_000})
    prompt = read(Target(str(toy)), request.messages)
    short = type(prompt)(prompt.found, prompt.tokenizer, prompt.ids, 2, prompt.ends)
    ear = Ear()
    write(Engine(), [Row(request, Target(str(toy)), short, ear)])
    assert (ear.tokens, ear.reason) == (2, "length")


def test_words_go_out_together_but_the_first_at_once_and_none_is_lost(monkeypatch):
    monkeypatch.setattr(answering, "GATHER_S", 60)
    posted = []
    pane = answering.Pane(0, threading.Event(), posted.append)
    for tokens, text in enumerate(["One", " two", " three"], 1):
        pane.say(text, tokens)
    assert [news.text for news in posted] == ["One"]
    pane.pause()
    pane.say(" four", 4)
    pane.finish("stop")
    pane.say(" too late", 5)
    pane.pause()
    assert [(news.text, news.tokens, news.reason) for news in posted[1:]] == [
        (" two three", 3, None),
        (" four", 4, None),
        ("", 4, "stop"),
    ]


def test_warming_up_speaks_with_base_and_adapter_and_leaves_no_model_behind(monkeypatch):
    spoken, models = [], []

    def speak(weights, names):
        spoken.append(len(names))
        models.append(weakref.ref(weights.base))
        say(weights, names)

    say = warm._speak
    monkeypatch.setattr(warm, "_speak", speak)
    warm.warm_up()
    assert spoken == [1, 1, 2] and not any(model() for model in models)


def test_beside_a_training_half_of_the_cores_answer(monkeypatch):
    monkeypatch.setattr(cpu, "CORES", 4)
    threads = [cpu.share_cores(with_others=busy) or torch.get_num_threads() for busy in (True, False)]
    assert threads == [2, 4]


def test_reading_in_fp32_changes_an_answer_no_more_than_rounding_does(toy, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    found = Found(toy, None)
    plain, quick = (load_base(found, torch.bfloat16, "cpu").eval() for _ in range(2))
    exact = load_base(found, torch.float32, "cpu").eval()
    quicken(quick)
    ids = torch.arange(5, 5 + 4 * LONG_INPUT)[None]
    with torch.inference_mode():
        true, rounded, mixed = (model(ids).logits.float() for model in (exact, plain, quick))
    assert (mixed - true).abs().mean() <= 1.2 * (rounded - true).abs().mean()
    assert vars(quick.lm_head)["forward"] and "forward" not in vars(plain.lm_head)


# Who can be chatted with


def test_runs_come_first_then_their_checkpoints_then_bases(toy):
    make_toy_run("20260101-100000-one", str(toy), lambda folder: make_toy_adapter(folder, toy), (10, 20), name="one")
    ids = [model.id for model in choices()]
    assert ids == [
        "20260101-100000-one",
        "20260101-100000-one@20",
        "20260101-100000-one@10",
        str(toy),
        "starter",
    ]
    assert [model.label for model in choices()][:2] == ["one", "one · step 20"]
    assert [model.tuned for model in choices()] == [True, True, True, False, False]


def test_runs_of_one_name_are_told_apart_by_their_time(toy):
    for second in (1, 2):
        make_toy_run(f"20260101-10000{second}-one", str(toy), lambda folder: make_toy_adapter(folder, toy), name="one")
    assert all(model.label.startswith("one (") for model in choices() if model.tuned)


def test_an_id_stands_for_base_revision_template_and_adapter(toy):
    run = make_toy_run("run", str(toy), lambda folder: make_toy_adapter(folder, toy), (10,), chat_template="{{ 1 }}")
    run.files.resolved.write_text("model: {revision: abc}")
    assert target_of("run") == Target(str(toy), "abc", "{{ 1 }}", adapter=run.files.adapter)
    assert target_of("run@10") == Target(str(toy), "abc", "{{ 1 }}", adapter=run.files.checkpoint(10))
    assert target_of(str(toy)) == Target(str(toy), "abc", spare_template="{{ 1 }}")


@pytest.mark.parametrize("unknown", ["run@20", "run@x", "nothing", "../x", "", "@", "/nowhere", "run@10@10"])
def test_an_unknown_id_stands_for_nothing(unknown, toy):
    make_toy_run("run", str(toy), lambda folder: make_toy_adapter(folder, toy), (10,))
    assert target_of(unknown) is None


def test_whatever_can_be_loaded_can_be_named_with_the_base_that_is_under_it(toy, tmp_path):
    adapter = make_toy_adapter(tmp_path / "adapter", toy)
    assert named(str(toy)) == ChatModel(str(toy), "toy", tuned=False, base=str(toy))
    assert named(str(adapter)) == ChatModel(str(adapter), "adapter", tuned=True, base=str(toy))
    assert named("owner/name") == ChatModel("owner/name", "owner/name", tuned=False, base="owner/name", unseen=True)
    assert named("no model") is named("/nowhere") is named("../x") is None


def test_the_base_beside_a_model_is_never_its_own_weights(toy, tmp_path):
    whole = make_toy_run("whole", str(toy), lambda folder: make_toy_adapter(folder, toy), (10,))
    shutil.rmtree(whole.files.adapter)
    shutil.copytree(toy, whole.folder / "model")
    assert target_of("whole").source == str(whole.final)
    adapter = make_toy_adapter(tmp_path / "adapter", toy)
    beside = ["whole", "whole@10", str(adapter), str(toy), "starter"]
    assert [talk.other_id("base", model) for model in beside] == [*[str(toy)] * 4, "starter"]


def test_the_app_s_side_of_the_engine_never_imports_torch():
    code = "import json, sys, core.inference.client, core.inference.choices; print(json.dumps(list(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "core.inference.process" in said.stdout
    assert not {"torch", "transformers", "peft"} & set(json.loads(said.stdout))
