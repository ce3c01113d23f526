"""Who may come in: with a password nobody without it, whatever is asked for; without one only this machine."""

import asyncio
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from core.home import ROOT
from studio import password
from studio.__main__ import main
from studio.page_script import PageScript
from studio.password import Password, password_problem
from tools.browser import Studio, studio

PASSWORD = "correct horse"
SPECIAL = "pä+& ß=%日"
HERE, ELSEWHERE = "https://team.test", "https://evil.test"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def closed(tmp_path_factory) -> Iterator[Studio]:
    """A studio with a password."""
    with studio(tmp_path_factory.mktemp("closed"), password=PASSWORD) as running:
        yield running


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Iterator[Studio]:
    """A studio without one."""
    with studio(tmp_path_factory.mktemp("local")) as running:
        yield running


def ask(
    app: Studio, method: str, path: str, body: str = "", **headers: str
) -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers


def sign_in(
    app: Studio, given: str = PASSWORD, path: str = "/", **headers: str
) -> tuple[int, str, http.client.HTTPMessage]:
    form = FORM | {"Origin": HERE} | headers
    return ask(app, "POST", path, urlencode({"password": given}), **form)


def key_of(app: Studio, **headers: str) -> str:
    return sign_in(app, **headers)[2]["Set-Cookie"].partition(";")[0]


def streams(app: Studio, **headers: str) -> bool:
    """Whether a websocket is accepted."""
    origin = headers.pop("Origin", None)
    host = headers.pop("Host", f"127.0.0.1:{app.port}")
    try:
        with connect(
            f"ws://{host}/_stcore/stream",
            origin=origin,
            additional_headers=headers,
            subprotocols=["streamlit"],
            address=("127.0.0.1", app.port),
        ):
            return True
    except InvalidStatus:
        return False


@pytest.mark.process
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/train?run=1"),
        ("GET", "/media/0000.yaml"),
        ("GET", "/media/_stcore/health"),
        ("GET", "//_stcore/health"),
        ("GET", "/_stcore/health/../host-config"),
        ("GET", "/_stcore/host-config"),
        ("GET", "/_stcore/metrics"),
        ("GET", "/_stcore/stream"),
        ("GET", "/component/x/index.html"),
        ("GET", "/static/js/index.js"),
        ("GET", "/favicon.png"),
        ("HEAD", "/"),
        ("OPTIONS", "/_stcore/upload_file/a/b"),
        ("PUT", "/_stcore/upload_file/a/b"),
        ("DELETE", "/_stcore/upload_file/a/b"),
        ("POST", "/_stcore/stream-by-http"),
        ("POST", "/_stcore/agent/mcp"),
    ],
)
def test_without_the_password_there_is_only_the_question_for_it(closed, method, path):
    name = key_of(closed).partition("=")[0]
    for cookie in ("", f"{name}=", f"{name}=made-up", f"{name}=" + "x" * 43, f'{name}="; a=b'):
        status, body, headers = ask(closed, method, path, Cookie=cookie)
        assert status == 401 and ("Password" in body or method == "HEAD")
        assert headers["Set-Cookie"] == f"{name}=; Path=/; Max-Age=0", "a key from another origin is asked for anew"
        assert "static/js" not in body


@pytest.mark.process
def test_without_the_password_there_is_no_stream_and_the_health_check_answers(closed):
    assert not streams(closed) and not streams(closed, Cookie=key_of(closed)[:-1])
    assert ask(closed, "GET", "/_stcore/health")[:2] == (200, "ok")


@pytest.mark.process
def test_the_right_password_leads_back_to_the_page_that_was_asked_for(closed):
    status, _, headers = sign_in(closed, path="/train?run=20261123-a")
    assert (status, headers["Location"]) == (303, "./train?run=20261123-a#let-in")
    assert headers["Set-Cookie"].endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
    key = headers["Set-Cookie"].partition(";")[0]
    status, body, _ = ask(closed, "GET", "/train", Cookie=f"other=1; {key}", Accept="text/html")
    assert status == 200 and "static/js" in body and body.index("window.WebSocket") < body.index("static/js")
    assert streams(closed, Cookie=key, Origin=HERE)


@pytest.mark.process
def test_a_key_opens_nothing_for_a_page_elsewhere(closed):
    key = key_of(closed)
    assert not streams(closed, Cookie=key, Origin=ELSEWHERE)
    assert ask(closed, "POST", "/_stcore/stream-by-http", Cookie=key, Origin=ELSEWHERE)[0] == 401
    assert ask(closed, "PUT", "/_stcore/upload_file/a/b", Cookie=key, Origin=ELSEWHERE)[0] == 401
    assert ask(closed, "POST", "/_stcore/stream-by-http", Cookie=key, Origin=HERE)[0] == 200


@pytest.mark.process
def test_in_the_page_of_another_site_the_cookies_are_bound_to_that_site(closed):
    key = key_of(closed, Sec_Fetch_Dest="iframe")
    rules = "SameSite=None; Secure; Partitioned"
    assert sign_in(closed, Sec_Fetch_Dest="iframe")[2]["Set-Cookie"].endswith(rules)
    assert ask(closed, "GET", "/_stcore/health", Cookie=key)[2]["Set-Cookie"].endswith(rules)
    plain = sign_in(closed, Sec_Fetch_Dest="iframe", Origin="http://team.test")[2]["Set-Cookie"]
    assert plain.endswith("SameSite=Lax"), "without https a browser would throw it away"


@pytest.mark.process
@pytest.mark.parametrize("host", ["team.test", "127.0.0.1.evil.test", "localhost@evil.test", "[", ""])
def test_without_a_password_another_name_gets_a_sentence(local, host):
    status, body, _ = ask(local, "GET", "/", Host=host)
    assert status == 403 and "serves its own machine only" in body and "STUDIO_PASSWORD=" in body


@pytest.mark.process
def test_a_name_turned_to_this_machine_gets_no_stream(local):
    port = local.port
    assert not streams(local, Host=f"evil.test:{port}", Origin=f"http://evil.test:{port}")
    assert not streams(local, Origin="http://evil.test")
    assert streams(local, Origin=f"http://127.0.0.1:{port}") and streams(local, Host=f"localhost:{port}")
    assert ask(local, "GET", "/_stcore/health", Host="10.0.0.7")[0] == 200
    assert ask(local, "POST", "/_stcore/stream-by-http")[0] == 405, "it is only there with a password"


def answers(given: list[str]) -> list[httpx2.Response]:
    """What is said to so many passwords at the same moment."""

    async def guess() -> list[httpx2.Response]:
        app = Password(Starlette(), SPECIAL)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=HERE) as client:
            return await asyncio.gather(*(client.post("/", data={"password": one}) for one in given))

    return asyncio.run(guess())


@pytest.mark.parametrize("other", ['prefs={"x": 1}', "name=Ann Lee", "flag", 'open="', "name=Jos\xe9", "x=[1, 2]"])
def test_an_odd_cookie_of_another_program_on_the_same_host_keeps_nobody_out(other):
    async def read() -> list[int]:
        app = Password(Starlette(routes=[Route("/", lambda _: HTMLResponse("in"))]), SPECIAL)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=HERE) as client:
            let_in = await client.post("/", data={"password": SPECIAL})
            client.cookies.clear()
            key = let_in.headers["set-cookie"].partition(";")[0]
            both = [f"{other}; {key}", f"{key}; {other}"]
            return [(await client.get("/", headers=[("cookie", one.encode("latin-1"))])).status_code for one in both]

    assert asyncio.run(read()) == [200, 200]


def test_two_studios_behind_one_host_keep_their_keys_apart(monkeypatch, tmp_path):
    def opened(name: str) -> Password:
        monkeypatch.setenv("STUDIO_HOME", str(tmp_path / name))
        return Password(Starlette(routes=[Route("/", lambda _: HTMLResponse("in"))]), SPECIAL)

    async def read() -> list[int]:
        mounts = {f"{HERE}:{port}": httpx2.ASGITransport(opened(f"{port}")) for port in (8501, 8502)}
        async with httpx2.AsyncClient(mounts=mounts) as client:
            for address in mounts:
                await client.get(address)
                await client.post(address, data={"password": SPECIAL})
            return [(await client.get(address)).status_code for address in mounts]

    assert asyncio.run(read()) == [200, 200]


@pytest.mark.parametrize("given", ["", SPECIAL[:-1], SPECIAL + " ", SPECIAL.upper(), SPECIAL + "x" * 5_000])
def test_a_wrong_password_opens_nothing(monkeypatch, given):
    monkeypatch.setattr(password, "WRONG_WAITS_S", 0)
    (answer,) = answers([given])
    assert answer.status_code == 403 and "That is not the password." in answer.text and not answer.cookies


@pytest.mark.parametrize(
    ("comes", "forgets"),
    [
        ({"origin": ELSEWHERE, "sec-fetch-site": "cross-site"}, False),
        ({"origin": "https://other.team.test", "sec-fetch-site": "same-site", "cookie": "{}=gone"}, False),
        ({"origin": ELSEWHERE}, False),  # a form over plain http brings no cookie
        ({"origin": HERE, "cookie": "{}=gone"}, True),
        ({"origin": HERE, "sec-fetch-site": "same-origin", "cookie": "{}=gone"}, True),
        ({"sec-fetch-site": "none"}, True),
    ],
)
def test_no_page_elsewhere_signs_a_person_out(comes, forgets):
    door = Password(Starlette(), SPECIAL)
    headers = {name: value.format(door.cookie) for name, value in comes.items()} | {"content-type": "text/plain"}

    async def post() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(door), base_url=HERE) as client:
            return await client.post("/", content="password=x", headers=headers)

    answer = asyncio.run(post())
    assert answer.status_code == 401 and ("set-cookie" in answer.headers) is forgets


def test_any_letter_can_stand_in_a_password():
    assert answers([SPECIAL])[0].status_code == 303


def test_all_who_guess_share_one_answer_at_a_time(monkeypatch):
    monkeypatch.setattr(password, "WRONG_WAITS_S", 0.05)
    begun = time.monotonic()
    statuses = [answer.status_code for answer in answers(["wrong"] * (password.MOST_WAITING + 3))]
    assert sorted(statuses) == [403] * password.MOST_WAITING + [429] * 3
    assert time.monotonic() - begun >= 0.05 * password.MOST_WAITING


def test_a_short_password_is_refused_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setenv("STUDIO_PASSWORD", "1234")
    assert main([]) == 1
    assert capsys.readouterr().err.startswith("STUDIO_PASSWORD has 4 characters. Choose one of 8 or more")


def test_a_studio_of_the_tests_is_open_though_the_shell_has_a_password(monkeypatch, tmp_path):
    monkeypatch.setenv("STUDIO_PASSWORD", PASSWORD)
    assert "STUDIO_PASSWORD" not in Studio(tmp_path).environment
    assert "STUDIO_PASSWORD" not in Studio(tmp_path, dict(os.environ)).environment


@pytest.mark.parametrize("given", [b"p\xe4sswort1", b"from a file\n", b"\x1bcorrect horse"])
def test_a_password_that_nobody_could_give_is_refused_in_a_sentence(monkeypatch, capsys, given):
    monkeypatch.setenv("STUDIO_PASSWORD", os.fsdecode(given))
    assert password_problem(os.environ["STUDIO_PASSWORD"]) and main([]) == 1
    assert capsys.readouterr().err.startswith("STUDIO_PASSWORD has a sign that no browser would send")


@pytest.mark.process
def test_no_job_inherits_the_password():
    code = "import os, studio.server; print(os.environ.get('STUDIO_PASSWORD'))"
    environment = os.environ | {"STUDIO_PASSWORD": PASSWORD}
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=environment).split()[-1] == b"None"


def test_a_web_page_that_somebody_downloads_is_left_as_it_is():
    page = "<html><head></head></html>"
    attached = {"Content-Disposition": "attachment"}
    routes = [
        Route("/page", lambda _: HTMLResponse(page)),
        Route("/file", lambda _: HTMLResponse(page, headers=attached)),
        Route("/missing", lambda _: HTMLResponse(page, 404)),
    ]

    async def read(path: str) -> str:
        app = PageScript(Starlette(routes=routes), "ours()")
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=HERE) as client:
            return (await client.get(path, headers={"Accept": "text/html"})).text

    assert asyncio.run(read("/page")) == "<html><head><script>ours()</script></head></html>"
    assert asyncio.run(read("/file")) == asyncio.run(read("/missing")) == page
