"""The chat engine as others use it: OpenAI's own Python client, and `/v1/compare` through the studio's."""

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import psutil
import pytest
import torch

from core import talk
from core.errors import EngineError
from core.inference import process
from core.inference.client import Comparison, Sampling, compare, state, stream, unload
from tests.toy_model import (
    CONTEXT,
    make_toy_adapter,
    make_toy_chatterbox,
    make_toy_parrot,
    make_toy_shouter,
    toy_tokenizer,
)
from tests.toy_run import make_toy_run

pytestmark = pytest.mark.process

WORDS = "<script>alert('1')</script> & über"
HELLO = [{"role": "user", "content": "Hi"}]
GREEDY = Sampling(temperature=0, max_tokens=40)
SHOUT = "the" * 40


@pytest.fixture(scope="module")
def engine_home(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield folder


@pytest.fixture
def there(engine_home, monkeypatch) -> None:
    """Work in the home that the engine sees."""
    monkeypatch.setenv("STUDIO_HOME", str(engine_home))


class Toys:
    """A base that was taught some words, a run on it that shouts, another with a checkpoint, and one that never ends."""

    def __init__(self, folder: Path):
        torch.set_num_threads(1)
        self.parrot = str(make_toy_parrot(folder / "parrot", WORDS))
        self.endless = str(make_toy_chatterbox(folder / "endless"))
        self.shouter = make_toy_run("shouter", self.parrot, lambda to: make_toy_shouter(to, Path(self.parrot)))
        self.other = make_toy_run("other", self.parrot, lambda to: make_toy_adapter(to, Path(self.parrot)), (10,))


@pytest.fixture(scope="module")
def toys(engine_home, tmp_path_factory) -> Toys:
    return Toys(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def engine(engine_home, toys) -> Iterator[process.Engine]:
    yield process.engine()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(engine_home))
        process.stop()


@pytest.fixture(scope="module")
def client(engine) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{engine.url}/v1", api_key=engine.key, max_retries=0, timeout=60)


def ask(client: openai.OpenAI, model: str, **more):
    return client.chat.completions.create(model=model, messages=HELLO, temperature=0, **more)


def seconds_to_end(client: openai.OpenAI, endless: str) -> float:
    """Of an answer that is about to have 3,000 tokens, at the very least: those late in the context take longer."""
    ask(client, endless, max_tokens=1)  # loads it
    begun = time.monotonic()
    ask(client, endless, max_tokens=300)
    return 9 * (time.monotonic() - begun)


def panes(answers: Comparison) -> list[str]:
    texts = [""] * len(answers.errors)
    for index, text in answers:
        texts[index] += text
    return texts


# OpenAI's client


def test_the_client_lists_what_can_answer(client, toys):
    assert {"shouter", "other", "other@10", toys.parrot, "starter"} <= {model.id for model in client.models.list()}


def test_the_client_gets_a_whole_answer_with_its_numbers(client, toys):
    answer = ask(client, toys.parrot)
    prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    asked, spoken = (len(toy_tokenizer()(text)["input_ids"]) for text in (prompt, WORDS + "<|im_end|>"))
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (WORDS, "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (asked, spoken)
    assert answer.usage.total_tokens == asked + spoken


def test_the_client_streams_and_is_told_the_numbers_last(client, toys):
    *chunks, last = ask(client, toys.parrot, stream=True, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == WORDS
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[1].choices[0].delta.content == WORDS[0]  # the first token does not wait for others
    assert last.choices == [] and last.usage == ask(client, toys.parrot).usage


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_an_answer_is_no_longer_than_asked_for(client, toys, limit):
    answer = ask(client, toys.endless, **{limit: 5})
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 5)


def test_stop_texts_end_an_answer(client, toys):
    answer = ask(client, toys.parrot, stop=["zzz", "("])
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("<script>alert", "stop")


def test_a_client_that_stops_in_the_middle_frees_the_engine(client, toys):
    rest_s = seconds_to_end(client, toys.endless)
    with ask(client, toys.endless, stream=True) as stream:
        for _ in zip(range(5), stream, strict=False):
            pass
    begun = time.monotonic()
    assert ask(client, toys.parrot).choices[0].message.content == WORDS
    assert time.monotonic() - begun < rest_s / 2


def test_settings_of_other_engines_are_taken_along(client, toys):
    narrow = client.chat.completions.create(model=toys.parrot, messages=HELLO, temperature=2, extra_body={"top_k": 1})
    assert narrow.choices[0].message.content == WORDS


def test_a_wrong_key_is_an_authentication_error(client, toys):
    with pytest.raises(openai.AuthenticationError) as refusal:
        ask(client.with_options(api_key="wrong"), toys.parrot)
    assert refusal.value.code == "invalid_api_key"


def test_a_wrong_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as refusal:
        ask(client, "no-such-model")
    assert (refusal.value.code, refusal.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("characters", [2 * CONTEXT, 1_000_000, 7_000_000])
def test_an_overlong_prompt_is_refused_before_most_of_it_is_read(client, toys, characters, streaming):
    begun = time.monotonic()
    toy_tokenizer()("x" * 700_000)
    longest_read_s = 10 * (time.monotonic() - begun)
    begun = time.monotonic()
    with pytest.raises(openai.BadRequestError) as refusal:
        client.chat.completions.create(
            model=toys.parrot, messages=[{"role": "user", "content": "x" * characters}], stream=streaming
        )
    assert (refusal.value.code, refusal.value.param) == ("context_length_exceeded", "messages")
    assert refusal.value.type == "invalid_request_error" and time.monotonic() - begun < longest_read_s / 2


@pytest.mark.parametrize(("setting", "value"), [("n", 2), ("top_p", 0), ("seed", -1), ("logprobs", True)])
def test_a_bad_setting_is_named(client, toys, setting, value):
    with pytest.raises(openai.BadRequestError) as refusal:
        ask(client, toys.parrot, **{setting: value})
    assert refusal.value.param == setting and refusal.value.type == "invalid_request_error"


def test_fifty_at_once_are_all_answered_and_those_that_vanish_harm_nobody(engine, toys):
    client = openai.AsyncOpenAI(base_url=f"{engine.url}/v1", api_key=engine.key, max_retries=0, timeout=120)
    models = [toys.parrot, "shouter", "other", "other@10", toys.parrot]

    async def say(number: int) -> str:
        options = {"model": models[number % 5], "messages": HELLO, "temperature": 0, "max_tokens": 40}
        if number % 7:
            return (await client.chat.completions.create(**options)).choices[0].message.content
        stream = await client.chat.completions.create(**options, stream=True)
        await anext(stream)
        await stream.close()
        return "left"

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*map(say, range(50)))

    said = asyncio.run(all_of_them())
    other = next(text for number, text in enumerate(said) if number % 5 == 2 and number % 7)
    expected = [WORDS, SHOUT, other, other, WORDS]
    assert said == [expected[number % 5] if number % 7 else "left" for number in range(50)]


def test_a_long_answer_does_not_make_others_wait_for_its_end(client, toys):
    long = {"model": toys.endless, "messages": HELLO, "temperature": 0, "max_tokens": 3000, "stream": True}
    with client.chat.completions.create(**long) as stream:
        next(iter(stream))
        assert ask(client, toys.endless, max_tokens=30).usage.completion_tokens == 30
        assert next(iter(stream)).choices[0].finish_reason is None


def test_models_on_two_bases_both_get_their_turn_in_the_order_they_came(engine, toys):
    client = openai.AsyncOpenAI(base_url=f"{engine.url}/v1", api_key=engine.key, max_retries=0, timeout=120)
    order: list[str] = []

    async def say(model: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await client.chat.completions.create(model=model, messages=HELLO, temperature=0, max_tokens=400)
        order.append(model)

    async def all_of_them() -> None:
        await asyncio.gather(say(toys.endless, 0), say(toys.parrot, 0.2), say(toys.endless, 0.4))

    asyncio.run(all_of_them())
    assert order == [toys.endless, toys.parrot, toys.endless]


def test_an_answer_beside_others_is_what_it_is_alone(engine, toys):
    asked = {"messages": HELLO, "temperature": 0, "max_tokens": 300}

    async def together(*models: str) -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{engine.url}/v1", api_key=engine.key, max_retries=0) as client:
            answers = await asyncio.gather(*(client.chat.completions.create(model=m, **asked) for m in models))
        return [answer.choices[0].message.content for answer in answers]

    models = ["other", "shouter", toys.parrot, "other@10"]
    assert asyncio.run(together(*models)) == [asyncio.run(together(model))[0] for model in models]


def test_unloading_waits_for_the_answers_and_the_next_one_loads_again(engine, client, toys):
    asked = stream(engine, toys.endless, HELLO, Sampling(temperature=0, max_tokens=300))
    next(iter(asked))
    before = state(engine)
    assert (before.loaded, before.bits, before.answering) == (toys.endless, 16, 1)
    after = unload(engine)
    list(asked)
    assert asked.stats.finish_reason == "length" and asked.stats.tokens == 300
    assert (after.loaded, after.adapters, after.answering) == (None, 0, 0)
    # Nobody was cut off, so the process has begun anew: nothing of what libraries keep is left.
    assert after.lives == before.lives + 1 and state(engine).memory_bytes < before.memory_bytes
    assert psutil.Process(engine.pid).is_running()
    assert ask(client, toys.parrot).choices[0].message.content == WORDS


def test_a_model_folder_deleted_while_loaded_goes_on_and_is_named_once_it_is_missed(engine, client, toys, tmp_path):
    folder = shutil.copytree(toys.parrot, tmp_path / "parrot")
    assert ask(client, str(folder)).choices[0].message.content == WORDS
    for file in folder.iterdir():
        if file.name != "config.json":
            file.unlink()
    assert ask(client, str(folder)).choices[0].message.content == WORDS
    unload(engine)
    with pytest.raises(openai.InternalServerError, match=str(folder)):
        ask(client, str(folder))
    shutil.rmtree(folder)
    with pytest.raises(openai.NotFoundError):
        ask(client, str(folder))
    assert ask(client, toys.parrot).choices[0].message.content == WORDS


def test_a_model_that_does_not_fit_is_refused_and_harms_nobody(client, toys, tmp_path):
    folder = shutil.copytree(toys.parrot, tmp_path / "huge")
    tensor = {"dtype": "BF16", "shape": [1_000_000, 10_000_000], "data_offsets": [0, 0]}
    header = json.dumps({"lm_head.weight": tensor}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(openai.InternalServerError, match=r"needs 20,?000\.3 GB of memory, and .* free"):
        ask(client, str(folder))
    assert ask(client, toys.parrot).choices[0].message.content == WORDS


# Compare


def test_base_runs_and_checkpoints_answer_side_by_side(engine, toys):
    answers = compare(engine, [toys.parrot, "shouter", "other", "other@10"], HELLO, GREEDY)
    base, shouted, other, checkpoint = panes(answers)
    assert (base, shouted) == (WORDS, SHOUT)
    assert other == checkpoint not in (WORDS, SHOUT)
    assert [stats.finish_reason for stats in answers.all_stats[:2]] == ["stop", "length"]
    assert answers.all_stats[1].tokens == 40 and answers.all_stats[0].prompt_tokens > 0


def test_the_panes_are_written_together(engine, toys):
    order = [index for index, text in compare(engine, [toys.parrot, "shouter"], HELLO, GREEDY) if text]
    assert {0, 1} == set(order[:4]) and order != sorted(order)


def test_an_answer_that_has_ended_says_so_while_the_others_go_on(engine, toys):
    long = Sampling(temperature=0, max_tokens=400)
    answers = compare(engine, [toys.parrot, "shouter"], HELLO, long)
    ended = [(index, answers.ended(0), answers.ended(1)) for index, _ in answers]
    assert ended[0] == (0, False, False) and (0, True, False) in ended and ended[-1] == (1, True, True)


def test_each_pane_goes_on_with_its_own_history(engine, toys):
    short, long = [], [*HELLO, {"role": "assistant", "content": "the answer"}]
    answers = compare(engine, [toys.parrot, toys.parrot], HELLO, GREEDY, [short, long])
    panes(answers)
    assert answers.all_stats[0].prompt_tokens < answers.all_stats[1].prompt_tokens


def test_one_damaged_adapter_is_a_sentence_in_its_pane(engine, toys, there):
    damaged = make_toy_run("damaged", toys.parrot, lambda to: make_toy_adapter(to, Path(toys.parrot)))
    (damaged.files.adapter / "adapter_model.safetensors").write_bytes(b"not weights")
    answers = compare(engine, [toys.parrot, "damaged", "shouter"], HELLO, GREEDY)
    assert panes(answers) == [WORDS, "", SHOUT]
    assert "is damaged" in answers.errors[1] and [answers.errors[0], answers.errors[2]] == [None, None]


def test_a_run_deleted_while_loaded_is_not_found_and_its_base_goes_on(engine, toys, there):
    gone = make_toy_run("gone", toys.parrot, lambda to: make_toy_shouter(to, Path(toys.parrot)))
    assert panes(compare(engine, [toys.parrot, "gone"], HELLO, GREEDY)) == [WORDS, SHOUT]
    shutil.rmtree(gone.folder)
    with pytest.raises(EngineError, match="no model 'gone'"):
        panes(compare(engine, [toys.parrot, "gone"], HELLO, GREEDY))
    assert panes(compare(engine, [toys.parrot], HELLO, GREEDY)) == [WORDS]


def test_a_closed_comparison_frees_the_engine(engine, client, toys):
    rest_s = seconds_to_end(client, toys.endless)
    answers = compare(engine, [toys.endless, toys.endless], HELLO, Sampling(temperature=0, max_tokens=3000))
    for _ in zip(range(5), answers, strict=False):
        pass
    answers.close()
    assert {stats.finish_reason for stats in answers.all_stats} == {"cancelled"}
    begun = time.monotonic()
    assert panes(compare(engine, [toys.parrot], HELLO, GREEDY)) == [WORDS]
    assert time.monotonic() - begun < rest_s / 2


@pytest.mark.parametrize(
    ("change", "status", "param", "said"),
    [
        ({"models": []}, 400, "models", "at least one"),
        ({"models": ["a"] * 5}, 400, "models", "at most 4"),
        ({"models": ["starter", "nobody"]}, 404, "models", "no model 'nobody'"),
        ({"histories": [[]] * 2}, 400, None, "one for each of the 1 models"),
        ({"stream": True}, 400, "stream", "unknown key"),
        ({"messages": None}, 400, "messages", "messages"),
    ],
)
def test_a_comparison_that_cannot_be_made_says_why(engine, toys, change, status, param, said):
    body = {"models": [toys.parrot], "messages": HELLO} | change
    refusal = httpx2.post(f"{engine.url}/v1/compare", json=body, headers=engine.headers, timeout=60)
    error = refusal.json()["error"]
    assert (refusal.status_code, error["param"]) == (status, param) and said in error["message"]


# Last in this file: it ends the engine.
def test_the_command_line_prints_a_run_beside_its_base_and_a_checkpoint(toys, there, capsys):
    models = ["shouter", talk.other_id("base", "shouter"), talk.other_id("other@10", "shouter")]
    assert models == ["shouter", toys.parrot, "other@10"]
    talk.side_by_side(models, "Hi", Sampling(temperature=0, max_tokens=40), 16)
    printed = capsys.readouterr().out
    assert printed.startswith(f"=== shouter\n{SHOUT}\n\n=== {toys.parrot}\n{WORDS}\n\n=== other@10\n")
