"""Who a token belongs to, what it may do, and what every refusal of the Hub reads like: the real client, a local Hub."""

import json
import subprocess
import sys

import pytest
from huggingface_hub import get_session
from starlette.responses import HTMLResponse

from core import home
from core.hub.account import Account
from core.hub.passing import PassingTrouble, asked
from core.hub.patience import PATIENCE
from tests.local_hub import NO_HUB, client_environment, local_hub
from tests.test_local_hub import write
from tests.toy_model import make_toy_model

pytestmark = pytest.mark.process

# One process for many questions: each is a name of a function below and its arguments.
ASK = """
import json, sys
from huggingface_hub import CommitOperationAdd, HfApi
from core.errors import HubError
from core.hub import account
from core.hub.refusals import hub_errors_in_words

def who(token, *repositories, within_s=10):
    found = account.who(token, within_s)
    return [found.name, found.role, found.writable, [found.may_write(name) for name in repositories]]

def machine():
    return [account.token(), account.origin()]

def info(repository, kind="model", token=None, **more):
    with hub_errors_in_words(repository, more.get("revision")):
        return HfApi(token=token).repo_info(repository, repo_type=kind, **more).id

def put(repository, token, size=10, times=1):
    with hub_errors_in_words(repository):
        operations = [CommitOperationAdd(f"w{n}.safetensors", b"0" * size) for n in range(times)]
        return len(HfApi(token=token).create_commit(repository, operations, commit_message="w").oid)

def make(repository, token):
    with hub_errors_in_words(repository):
        return HfApi(token=token).create_repo(repository).repo_id

def gate(repository, token, kind="model"):
    with hub_errors_in_words(repository):
        return HfApi(token=token).auth_check(repository, repo_type=kind)

for name, arguments, more in json.loads(sys.argv[1]):
    try:
        said = globals()[name](*arguments, **more)
    except HubError as error:
        said = str(error)
    print("ANSWER" + json.dumps(said), flush=True)
"""


def ask(environment, *questions) -> list:
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(questions)],
        cwd=home.ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line.removeprefix("ANSWER")) for line in done.stdout.splitlines() if line.startswith("ANSWER")]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        write(hub.repository("models/ann/mine"), {"config.json": "{}", ".private": ""})
        write(hub.repository("models/meta-llama/Llama-3.2-1B-Instruct"), {"config.json": "{}", ".gated": ""})
        write(hub.repository("datasets/me/closed"), {"train.jsonl": "{}", ".gated": ""})
        yield hub


def test_an_account_is_what_its_token_may_do(hub, tmp_path):
    ann, reader, team, bob, bad, none, odd = ask(
        hub.environment(tmp_path),
        ("who", ["hf_ann", "ann", "team/x", "bob", "bob/x"], {}),
        ("who", ["hf_ann_read", "ann", "team"], {}),
        ("who", ["hf_ann_team", "ann", "team", "team/x"], {}),
        ("who", ["hf_bob", "bob", "team"], {}),
        ("who", ["hf_nobody"], {}),
        ("machine", [], {}),
        ("who", ["hf_ä b"], {}),
    )
    assert ann == ["ann", "write", ["ann", "team"], [True, True, False, False]]
    assert reader == ["ann", "read", [], [False, False]]
    assert team == ["ann", "fineGrained", ["team"], [False, True, True]]
    assert bob == ["bob", "write", ["bob"], [True, False]]
    assert bad == f"The Hub does not accept this token. Copy it whole, or make one at {hub.url}/settings/tokens."
    assert none == [None, "login"]
    assert odd.startswith("This is no token")


def test_no_call_to_the_hub_waits_for_ever():
    assert get_session().timeout == PATIENCE
    assert all(seconds <= 120 for seconds in (PATIENCE.connect, PATIENCE.read, PATIENCE.write))


def test_a_token_for_one_repository_may_write_to_that_one_alone():
    account = Account("ann", role="fineGrained", namespaces=("ann",), only=frozenset({"ann/one"}))
    assert account.may_write("ann/one") and not account.may_write("ann/two") and account.writable == ()


def test_the_machines_token_is_found_in_the_environment_before_the_login(hub, tmp_path):
    write(tmp_path, {"token": "hf_bob\n"})
    (login,) = ask(hub.environment(tmp_path), ("machine", [], {}))
    (environment,) = ask(hub.environment(tmp_path, token="hf_ann"), ("machine", [], {}))
    assert login == ["hf_bob", "login"] and environment == ["hf_ann", "environment"]


def test_every_refusal_is_a_sentence_that_says_what_to_do(hub, tmp_path):
    stranger, revision, none, rows, gated, closed, reader, bobs, name, twice = ask(
        hub.environment(tmp_path),
        ("info", ["ann/mine"], {}),
        ("info", ["ann/mine"], {"token": "hf_ann", "revision": "v9"}),
        ("info", ["ann/none"], {"token": "hf_ann"}),
        ("info", ["ann/none", "dataset"], {}),
        ("gate", ["meta-llama/Llama-3.2-1B-Instruct", None], {}),
        ("gate", ["me/closed", "hf_bob", "dataset"], {}),
        ("put", ["ann/mine", "hf_ann_read"], {}),
        ("make", ["team/new", "hf_bob"], {}),
        ("info", ["no name at all"], {}),
        ("make", ["ann/mine", "hf_ann"], {}),
    )
    sign_in = "sign in on the Hub page, or with `hf auth login`."
    assert (
        stranger
        == f"The Hub has no repository ann/mine, or it is private. Check the spelling; for a private one {sign_in}"
    )
    assert revision == "ann/mine has no revision 'v9' on the Hub. Check the branch, tag or commit."
    assert none.startswith("The Hub has no repository ann/none")
    assert rows.startswith("The Hub has no data set ann/none")
    mirror = "Or use the ungated mirror unsloth/Llama-3.2-1B-Instruct."
    page = f"{hub.url}/meta-llama/Llama-3.2-1B-Instruct"
    assert gated.endswith(f"is gated. Accept the licence at {page}, then {sign_in} {mirror}")
    assert (
        closed == f"The data set me/closed is gated. Accept the licence at {hub.url}/datasets/me/closed, then {sign_in}"
    )
    assert reader.startswith("The Hub does not let this token change ann/mine. Sign in with one that may write there")
    assert bobs.startswith("The Hub does not let this token change team/new")
    assert name.startswith("'no name at all' is no name of a repository")
    assert twice == "ann/mine is being changed on the Hub by somebody else, or is there already. Try again."


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"status": 401}, "The Hub does not accept the token. Sign in again"),
        ({"status": 409}, "ann/mine is being changed on the Hub by somebody else"),
        ({"status": 412}, "ann/mine was changed on the Hub by somebody else in the same moment"),
        ({"status": 500}, "The Hub answered 500 when asked for ann/mine. Try again in a while."),
        ({"cut_after": 0}, "The line to the Hub was cut while it was asked for ann/mine. Try again."),
    ],
)
def test_a_commit_that_goes_wrong_is_a_sentence_without_the_token(hub, tmp_path, trouble, said):
    hub.tokens["hf_long_and_secret"] = hub.tokens["hf_ann"]
    with hub.trouble(where="/commit/", **trouble):
        (answer,) = ask(hub.environment(tmp_path), ("put", ["ann/mine", "hf_long_and_secret"], {}))
    assert answer.startswith(said) and "hf_long" not in answer


def test_a_large_file_that_the_hub_refuses_is_a_sentence_too(hub, tmp_path):
    with hub.trouble(where="/large-files/", status=403):
        one, two = ask(
            hub.environment(tmp_path),
            ("put", ["ann/mine", "hf_ann", 11], {}),
            ("put", ["ann/mine", "hf_ann", 12], {"times": 2}),
        )
    assert one == two and one.startswith("The Hub does not let this token change ann/mine")


def test_a_hub_that_is_not_there_or_says_nothing_is_a_sentence(hub, tmp_path):
    with hub.trouble(where="whoami", delay_s=1.5):
        (silent,) = ask(hub.environment(tmp_path), ("who", ["hf_ann"], {"within_s": 0.2}))
    with hub.trouble(where="whoami", status=429):
        (often,) = ask(hub.environment(tmp_path), ("who", ["hf_ann"], {}))
    away, off = (
        ask(client_environment(NO_HUB, tmp_path) | more, ("who", ["hf_ann"], {}))[0]
        for more in ({}, {"HF_HUB_OFFLINE": "1"})
    )
    assert silent == "The Hub did not answer in time when asked for your name. Try again in a while."
    assert often.startswith("The Hub has been asked too often")
    assert away == "The Hub cannot be reached, so it was not asked for your name. Check the connection."
    assert off.startswith("HF_HUB_OFFLINE is set, so the Hub was not asked for your name")


def test_a_page_of_the_network_in_place_of_the_hub_is_a_sentence(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "_app", HTMLResponse("<h1>Welcome to the hotel</h1>"))
    answers = ask(hub.environment(tmp_path), ("who", ["hf_ann"], {}), ("info", ["ann/mine"], {}))
    assert [answer[:60] for answer in answers] == [
        "Something else than the Hub answered when asked for your nam",
        "Something else than the Hub answered when asked for ann/mine",
    ]
    # To a backup that is a Hub which is away.
    with pytest.raises(PassingTrouble, match="Something else than the Hub answered when asked for ann/mine"):
        asked("ann/mine", lambda: json.loads("<h1>"))


# The engine serves many tabs: each request brings the token of its own.
CHAT = """
import sys
from core.errors import EngineError
from core.inference import client, process

words = [{"role": "user", "content": "hello"}]

def reads(engine):
    try:
        return len(client.reading(engine, "ann/tiny", words).ids)
    except EngineError as error:
        return str(error)

engine = process.engine()
print(reads(engine), reads(engine.asking_with("hf_ann")), sep="\\n")
process.stop()
"""


def test_the_chat_engine_asks_the_hub_with_the_token_of_the_tab_that_asks(hub, tmp_path):
    make_toy_model(hub.repository("models/ann/tiny"))
    write(hub.repository("models/ann/tiny"), {".private": ""})
    environment = hub.environment(tmp_path / "cache") | {"STUDIO_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", CHAT], cwd=home.ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    without, with_token = done.stdout.splitlines()
    assert without.startswith("The Hub has no repository ann/tiny, or it is private.")
    assert int(with_token) > 2
    assert "hf_ann" not in (tmp_path / "home/engine.log").read_text()
