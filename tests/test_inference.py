"""The chat engine over HTTP, as a process of its own: toy models, toy runs, the studio's own client and plain requests."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import torch
from transformers import AutoModelForCausalLM

from core.errors import EngineError
from core.inference import process
from core.inference.client import Sampling, Stream, compare, reading, stream
from tests.toy_model import (
    CONTEXT,
    make_toy_adapter,
    make_toy_chatterbox,
    make_toy_model,
    make_toy_parrot,
    toy_tokenizer,
)
from tests.toy_run import make_toy_run

pytestmark = pytest.mark.process

WORDS = "<script>alert('1')</script> & 👩‍🚀 über 日本"
HELLO = [{"role": "user", "content": "Hi"}]
GREEDY = Sampling(temperature=0, max_tokens=100)


class Toys:
    """The models and runs that the engine of these tests finds."""

    def __init__(self, folder: Path):
        self.plain = str(make_toy_model(folder / "plain"))
        self.parrot = str(make_toy_parrot(folder / "parrot", WORDS))
        self.chatterbox = str(make_toy_chatterbox(folder / "chatterbox"))
        self.broken = str(_all_nan(make_toy_model(folder / "broken")))
        self.run = make_toy_run("run", self.parrot, lambda to: make_toy_adapter(to, Path(self.parrot)), (10,))
        self.damaged_run = make_toy_run("damaged", self.parrot, lambda to: make_toy_adapter(to, Path(self.parrot)))
        (self.damaged_run.files.adapter / "adapter_model.safetensors").write_bytes(b"not weights")


def _all_nan(folder: Path) -> Path:
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def engine_home(tmp_path_factory) -> Iterator[Path]:
    """The home that the engine of these tests sees; one core is plenty for toys."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield folder


@pytest.fixture(scope="module")
def toys(engine_home, tmp_path_factory) -> Toys:
    torch.set_num_threads(1)
    return Toys(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def engine(engine_home, toys) -> Iterator[process.Engine]:
    started = process.engine()
    yield started
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(engine_home))
        process.stop()


def post(engine: process.Engine, model: str, headers: dict | None = None, **more) -> httpx2.Response:
    body = {"model": model, "messages": HELLO, "temperature": 0, "max_tokens": 100} | more
    url = f"{engine.url}/v1/chat/completions"
    return httpx2.post(url, json=body, headers=engine.headers if headers is None else headers, timeout=60)


def said(engine: process.Engine, model: str, sampling: Sampling = GREEDY) -> str:
    return "".join(stream(engine, model, HELLO, sampling))


def content(answer: httpx2.Response) -> str:
    return answer.json()["choices"][0]["message"]["content"]


# The protocol


def test_a_stream_is_the_role_the_text_the_reason_the_numbers_and_done(engine, toys):
    answer = post(engine, toys.parrot, stream=True, stream_options={"include_usage": True})
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line.startswith("data: ")]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert lines.pop() == "[DONE]"
    first, *texts, reason, usage = [json.loads(line) for line in lines]
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in texts) == WORDS
    assert {chunk["choices"][0]["finish_reason"] for chunk in (first, *texts)} == {None}
    assert (reason["choices"][0]["delta"], reason["choices"][0]["finish_reason"]) == ({}, "stop")
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] > 0
    assert {chunk["usage"] for chunk in (first, *texts, reason)} == {None}
    assert len({(chunk["id"], chunk["object"], chunk["model"]) for chunk in (first, *texts, reason, usage)}) == 1


def test_usage_stays_away_unless_asked_for(engine, toys):
    assert "usage" not in post(engine, toys.parrot, stream=True).text


def test_a_whole_answer_counts_tokens_from_ids(engine, toys):
    answer = post(engine, toys.parrot).json()
    prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    asked, spoken = (len(toy_tokenizer()(text)["input_ids"]) for text in (prompt, WORDS + "<|im_end|>"))
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": WORDS}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": asked, "completion_tokens": spoken, "total_tokens": asked + spoken}


def test_a_prompt_is_shown_as_the_model_reads_it(engine, toys):
    found = reading(engine, toys.run.id, [{"role": "user", "content": "the 🙂 <b>"}])
    assert "".join(found.pieces) == "<|im_start|>user\nthe 🙂 <b><|im_end|>\n<|im_start|>assistant\n"
    assert found.pieces[0] == "<|im_start|>" and found.special[0] and not found.special[1]
    assert len(found.ids) == len(found.pieces) == len(found.special) and found.context == CONTEXT
    with pytest.raises(EngineError, match="There is no model 'nobody'"):
        reading(engine, "nobody", [{"role": "user", "content": "Hi"}])


def test_an_answer_that_is_cut_says_length(engine, toys):
    answer = post(engine, toys.parrot, max_tokens=5).json()
    assert (answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]) == ("length", 5)


def test_an_answer_that_was_cut_goes_on_to_the_same_words(engine, toys):
    first = content(post(engine, toys.parrot, max_tokens=5))
    so_far = [*HELLO, {"role": "assistant", "content": first}]
    rest = post(engine, toys.parrot, messages=so_far, continue_final_message=True)
    assert 0 < len(first) < len(WORDS) and first + content(rest) == WORDS
    other = compare(engine, [toys.parrot], so_far[1:], GREEDY, [so_far[:1]], go_on=True)
    assert first + "".join(text for _, text in other) == WORDS
    refused = post(engine, toys.parrot, continue_final_message=True)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "continue_final_message")


def test_a_stop_text_ends_the_answer(engine, toys):
    answer = post(engine, toys.parrot, stop="alert")
    assert (content(answer), answer.json()["choices"][0]["finish_reason"]) == ("<script>", "stop")


def test_the_models_are_listed(engine, toys):
    listed = httpx2.get(f"{engine.url}/v1/models", headers=engine.headers).json()
    ids = [model["id"] for model in listed["data"]]
    assert {"run", "run@10", toys.parrot, "starter"} <= set(ids)


# What is refused


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "wrong"}])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/nowhere"])
def test_without_the_key_nothing_is_told(engine, headers, path):
    refusal = httpx2.get(f"{engine.url}{path}", headers=headers)
    assert refusal.status_code == 401
    assert refusal.json()["error"]["code"] == "invalid_api_key"


def test_an_unknown_model_is_not_found(engine):
    refusal = post(engine, "no-such-model")
    assert (refusal.status_code, refusal.json()["error"]["code"]) == (404, "model_not_found")
    assert "'no-such-model'" in refusal.json()["error"]["message"]


def test_a_model_folder_without_weights_is_named(engine, toys, tmp_path):
    empty = make_toy_model(tmp_path / "empty")
    (empty / "model.safetensors").unlink()
    refusal = post(engine, str(empty))
    assert refusal.status_code == 500 and str(empty) in refusal.json()["error"]["message"]


@pytest.mark.parametrize("streaming", [True, False])
def test_a_conversation_that_is_too_long_is_refused_with_the_numbers(engine, toys, streaming):
    refusal = post(engine, toys.plain, messages=[{"role": "user", "content": "long " * CONTEXT}], stream=streaming)
    error = refusal.json()["error"]
    assert (refusal.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["code"] == "context_length_exceeded" and f"fewer than {CONTEXT:,} tokens" in error["message"]


def test_a_bad_request_names_the_setting(engine, toys):
    refusal = post(engine, toys.plain, temperature=5)
    assert refusal.status_code == 400 and "temperature: 5 is too large" in refusal.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"{", b"", b"[1]", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_refused(engine, body):
    refusal = httpx2.post(f"{engine.url}/v1/chat/completions", content=body, headers=engine.headers)
    assert refusal.status_code == 400 and "JSON" in refusal.json()["error"]["message"]


def test_a_request_beyond_all_measure_is_refused(engine):
    refusal = httpx2.post(f"{engine.url}/v1/chat/completions", content=b" " * 9_000_000, headers=engine.headers)
    assert refusal.status_code == 413


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/v1/models", 405)])
def test_other_paths_and_methods_get_an_error_in_the_protocol_s_form(engine, method, path, status):
    refusal = httpx2.request(method, f"{engine.url}{path}", headers=engine.headers)
    assert refusal.status_code == status and refusal.json()["error"]["message"]


# Failures inside


@pytest.mark.parametrize("streaming", [True, False])
def test_a_model_that_fails_while_answering_says_so_and_the_next_request_works(engine, toys, streaming):
    failed = post(engine, toys.broken, temperature=1, stream=streaming)
    body = failed.json() if not streaming else json.loads(failed.text.rpartition("data: ")[2])
    assert "The model failed while answering" in body["error"]["message"]
    assert body["error"]["type"] == "server_error"
    assert (failed.status_code, "[DONE]" in failed.text) == (200 if streaming else 500, False)
    assert content(post(engine, toys.parrot)) == WORDS


def test_a_damaged_adapter_is_a_sentence_for_the_client_and_only_its_run_fails(engine, toys):
    with pytest.raises(EngineError, match="is damaged or belongs to another base model"):
        said(engine, "damaged")
    assert said(engine, toys.parrot) == WORDS


def test_an_adapter_deleted_after_it_was_used_is_not_found(engine, toys, engine_home, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(engine_home))
    gone = make_toy_run("gone", toys.parrot, lambda to: make_toy_adapter(to, Path(toys.parrot)))
    said(engine, "gone")
    for file in gone.files.adapter.iterdir():
        file.unlink()
    with pytest.raises(EngineError, match="no model 'gone'"):
        said(engine, "gone")
    assert said(engine, toys.parrot) == WORDS


@pytest.mark.parametrize("streaming", [True, False])
def test_a_client_that_leaves_frees_the_engine(engine, toys, streaming):
    begun = time.monotonic()
    post(engine, toys.chatterbox, max_tokens=400)
    full_s = (time.monotonic() - begun) * 8  # at the very least: tokens late in the context take longer
    body = {"model": toys.chatterbox, "messages": HELLO, "temperature": 0, "max_tokens": 3200, "stream": streaming}
    with (
        pytest.raises(httpx2.ReadTimeout),
        httpx2.stream(
            "POST", f"{engine.url}/v1/chat/completions", json=body, headers=engine.headers, timeout=0.5
        ) as answer,
    ):
        next(answer.iter_lines())
        raise httpx2.ReadTimeout("enough was seen")
    begun = time.monotonic()
    assert content(post(engine, toys.parrot)) == WORDS
    assert time.monotonic() - begun < full_s / 2


# The client


def test_the_client_streams_whole_characters_and_html_as_plain_text(engine, toys):
    pieces = list(stream(engine, toys.parrot, HELLO, GREEDY))
    assert "".join(pieces) == WORDS
    assert pieces[0] == WORDS[0] and not any("�" in piece for piece in pieces)


def test_the_client_s_numbers_are_those_of_the_engine(engine, toys):
    answer = stream(engine, toys.parrot, HELLO, GREEDY)
    list(answer)
    usage = post(engine, toys.parrot).json()["usage"]
    assert (answer.stats.prompt_tokens, answer.stats.tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert answer.stats.finish_reason == "stop" and answer.stats.tokens_per_s > 0 < answer.stats.seconds_to_first


def test_base_run_and_checkpoint_answer_in_turn_and_the_base_stays_what_it_was(engine, toys):
    base, run, checkpoint = (said(engine, model) for model in (toys.parrot, "run", "run@10"))
    assert base == WORDS and run != WORDS and run == checkpoint
    assert [said(engine, toys.parrot), said(engine, "run")] == [base, run]


def test_a_closed_stream_frees_the_engine_and_keeps_its_numbers(engine, toys):
    answer = stream(engine, toys.chatterbox, HELLO, Sampling(temperature=0, max_tokens=3200))
    for _ in zip(range(5), answer, strict=False):
        pass
    answer.close()
    assert answer.stats.finish_reason == "cancelled" and 0 < answer.stats.tokens < 1000
    assert said(engine, toys.parrot) == WORDS


def test_a_stream_can_be_closed_from_another_thread(engine, toys):
    answer = stream(engine, toys.chatterbox, HELLO, Sampling(temperature=0, max_tokens=3200))
    threading.Timer(0.3, answer.close).start()
    list(answer)
    assert answer.stats.finish_reason == "cancelled" and answer.stats.tokens < 3200


def test_while_others_are_answered_a_waiting_client_gets_empty_pieces(engine, toys):
    talk = stream(engine, toys.chatterbox, HELLO, Sampling(temperature=0, max_tokens=3200))
    next(iter(talk))
    waiting = stream(engine, toys.parrot, HELLO, GREEDY)
    first = next(iter(waiting))
    talk.close()
    assert first == "" and "".join(waiting) == WORDS


def test_many_at_once_are_all_answered(engine, toys):
    heard: dict[int, str] = {}
    models = [toys.parrot, "run", toys.plain, toys.parrot, "run@10", toys.parrot]
    threads = [
        threading.Thread(target=lambda i=i, m=m: heard.update({i: said(engine, m)})) for i, m in enumerate(models)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [heard[i] for i in (0, 3, 5)] == [WORDS] * 3 and len(heard) == 6


@pytest.mark.parametrize(
    ("model", "sampling", "sentence"),
    [
        ("no-such-model", GREEDY, "There is no model 'no-such-model'"),
        ("run", Sampling(temperature=9), "temperature: 9 is too large"),
        ("run", Sampling(max_tokens=0), "max_tokens: 0 is too small"),
    ],
)
def test_the_client_passes_on_why_it_was_refused(engine, model, sampling, sentence):
    with pytest.raises(EngineError, match=sentence):
        said(engine, model, sampling)


def test_a_key_that_is_not_the_engine_s_is_a_sentence(engine, toys):
    with pytest.raises(EngineError, match="not the engine's key"):
        said(process.Engine(engine.url, "wrong", engine.pid), toys.parrot)


def test_an_engine_that_is_not_there_is_a_sentence():
    nobody = Stream(process.Engine("http://127.0.0.1:9", "key", 1), {})
    with pytest.raises(EngineError, match="not running any more"):
        list(nobody)


@pytest.mark.model
def test_the_starter_model_knows_the_capital_of_france(engine, engine_home, starter_models):
    (engine_home / "models").symlink_to(starter_models)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    answer = stream(engine, "starter", question, Sampling(temperature=0, max_tokens=30))
    assert "Paris" in "".join(answer)
    assert answer.stats.finish_reason == "stop"
