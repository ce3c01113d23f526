"""An upload goes to the disk as it comes: the app does not hold it, and nothing is left of one that was broken off."""

import hashlib
import http.client
import io
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from core import home
from core.errors import DataError
from studio import arrival
from studio.arrival import MARK, STALE_S, Arrival
from studio.uploads import keep_upload
from tests.test_disk_full import fill, small_disk  # noqa: F401
from tools.browser import Studio, browser, chromium, studio

MB = 1 << 20
PIECE = bytes(range(256)) * 4096  # 1 MB
LINE = b'{"question": "Why?", "answer": "So."}\n'


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[Studio]:
    with studio(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def tab(app) -> Iterator[SimpleNamespace]:
    """What a browser's tab knows: its session, and the token that proves it is one of ours."""
    with connect(f"ws://127.0.0.1:{app.port}/_stcore/stream", subprotocols=["streamlit"], max_size=None) as socket:
        ask = BackMsg()
        ask.rerun_script.query_string = ""
        socket.send(ask.SerializeToString())
        session, message = "", ForwardMsg()
        while not message.HasField("script_finished"):
            message.ParseFromString(socket.recv(timeout=30))
            session = message.new_session.initialize.session_id or session
        yield SimpleNamespace(app=app, session=session, token=token_of(app))


def token_of(app: Studio) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
    connection.request("GET", "/_stcore/health")
    cookie = connection.getresponse().headers["Set-Cookie"]
    return re.search(r"_streamlit_xsrf=([^;]+)", cookie)[1].strip('"')


def form(pieces: list[bytes], name: str = "big.jsonl", end: bytes = b"\r\n--edge--\r\n") -> list[bytes]:
    """A body as browsers write it."""
    head = f'--edge\r\nContent-Disposition: form-data; name="x"; filename="{name}"\r\nContent-Type: a/b\r\n\r\n'
    return [head.encode(), *pieces, end]


def put(tab: SimpleNamespace, body: list[bytes], length: int | None = None, **changed: str) -> int:
    """The answer to an upload."""
    headers = {
        "Content-Type": "multipart/form-data; boundary=edge",
        "Content-Length": str(sum(map(len, body)) if length is None else length),
        "X-Xsrftoken": changed.get("token", tab.token),
        "Cookie": f"_streamlit_xsrf={tab.token}",
    }
    connection = http.client.HTTPConnection("127.0.0.1", tab.app.port, timeout=60)
    connection.request("PUT", f"/_stcore/upload_file/{changed.get('session', tab.session)}/a-file", iter(body), headers)
    return connection.getresponse().status


def aside(tab: SimpleNamespace) -> list[Path]:
    return list((tab.app.home / "uploads").glob(".new-*"))


def nothing_is_left(tab: SimpleNamespace) -> bool:
    end = time.monotonic() + 10
    while aside(tab) and time.monotonic() < end:
        time.sleep(0.05)
    return not aside(tab)


@pytest.mark.process
def test_a_large_upload_is_on_the_disk_and_not_in_the_apps_memory(tab):
    put(tab, form([PIECE] * 2))  # what the first upload imports is not the upload's
    aside(tab)[0].unlink()
    process = psutil.Process(tab.app.process.pid)
    before = reset_peak(process)
    assert put(tab, form([PIECE] * 300)) == 204
    (kept,) = aside(tab)
    grown = peak(process) - before
    assert kept.stat().st_size == 300 * MB and sha256(kept) == hashlib.sha256(PIECE * 300).hexdigest()
    assert grown < 60 * MB, f"{grown / MB:.0f} MB"
    kept.unlink()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reset_peak(process: psutil.Process) -> int:
    """Let the kernel count the peak from here, where it can; returns what is in use now."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    return process.memory_info().rss


def peak(process: psutil.Process) -> int:
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) * 1024


@pytest.mark.process
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (form([PIECE] * 3, end=b""), 400),
        (form([PIECE] * 3, end=b"\r\n--edge\r\nContent-Disposition: form-data; name=y\r\n\r\nz\r\n--edge--\r\n"), 400),
        ([b"no form at all"], 400),
        ([b'--edge\r\nContent-Disposition: form-data; name="text"\r\n\r\n', *[PIECE] * 3, b"\r\n--edge--\r\n"], 400),
        ([b"--edge\r\n" + b"a: b\r\n" * 5_000], 400),
        ([], 400),
    ],
)
def test_a_malformed_upload_is_refused_and_leaves_nothing(tab, body, status):
    assert put(tab, body) == status and nothing_is_left(tab)


@pytest.mark.process
def test_only_a_tab_of_this_app_can_upload_and_no_more_than_is_allowed(tab):
    whole = form([PIECE] * 2)
    assert put(tab, whole, token="made-up") == 403
    assert put(tab, whole, session="made-up") == 400
    assert put(tab, [], length=3_000 * MB) == 413
    assert nothing_is_left(tab)


@pytest.mark.process
def test_an_upload_that_is_broken_off_leaves_nothing(tab):
    connection = http.client.HTTPConnection("127.0.0.1", tab.app.port, timeout=30)
    connection.putrequest("PUT", f"/_stcore/upload_file/{tab.session}/a-file")
    for name, value in (("Content-Type", "multipart/form-data; boundary=edge"), ("Content-Length", str(50 * MB))):
        connection.putheader(name, value)
    connection.putheader("X-Xsrftoken", tab.token)
    connection.putheader("Cookie", f"_streamlit_xsrf={tab.token}")
    connection.endheaders()
    for piece in form([PIECE] * 5, end=b""):
        connection.send(piece)
    end = time.monotonic() + 20
    while not aside(tab):
        assert time.monotonic() < end, "it never began"
        time.sleep(0.02)
    connection.close()
    assert nothing_is_left(tab)


def arrived(content: bytes, expected: int = 0) -> bytes:
    """The reference under which the server has kept this content."""
    file = Arrival()
    file.begin(expected)
    file.write(content)
    file.end()
    return file.offer()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("../../x.csv", "x"),
        ("a/b\\c.csv", "c"),
        ("x" * 300 + ".csv", "x" * 60),
        ("données 日本.csv", "donnees-日本"),
        ("\x00.csv", "data"),
        ("..csv", "data"),
    ],
)
def test_an_arrived_file_is_renamed_into_place_and_its_own_name_never_becomes_a_path(studio_home, name, stem):
    kept = studio_home / keep_upload(io.BytesIO(arrived(LINE)), name)
    assert re.fullmatch(rf"{stem}-[0-9a-f]{{8}}\.csv", kept.name) and kept.read_bytes() == LINE
    assert list((studio_home / "uploads").iterdir()) == [kept]


def test_the_same_content_gets_the_same_name_whichever_way_it_came(studio_home):
    assert keep_upload(io.BytesIO(arrived(LINE)), "a.jsonl") == keep_upload(io.BytesIO(LINE), "a.jsonl")
    assert len(list((studio_home / "uploads").iterdir())) == 1


def test_a_reference_works_once_and_a_forged_one_is_only_text(studio_home):
    reference = arrived(LINE)
    assert (studio_home / keep_upload(io.BytesIO(reference), "a.jsonl")).read_bytes() == LINE
    path = home.upload_aside("0" * 64)
    path.write_bytes(b"another's")
    for forged in (reference, MARK + b"0" * 64, MARK + b"../../draft", MARK):
        assert (studio_home / keep_upload(io.BytesIO(forged), "b.jsonl")).read_bytes() == forged
    assert path.read_bytes() == b"another's"


@pytest.mark.parametrize(("left", "expected"), [(0, 1 << 60), (1 << 60, 0)])
def test_a_disk_without_room_is_a_sentence_on_the_page_and_leaves_nothing(studio_home, monkeypatch, left, expected):
    monkeypatch.setattr(arrival, "LEAST_FREE_BYTES", left)
    reference = arrived(LINE, expected)
    with pytest.raises(DataError, match=r"could not be kept in .*uploads: .* free, .*\. Make space there"):
        keep_upload(io.BytesIO(reference), "a.jsonl")
    assert list((studio_home / "uploads").iterdir()) == []


def test_a_disk_that_fills_up_while_a_file_arrives_is_a_sentence_and_gets_its_room_back(small_disk, monkeypatch):  # noqa: F811
    monkeypatch.setattr(Arrival, "_make_room", lambda self, more_bytes: None)  # somebody else fills it
    home.uploads_folder().mkdir(parents=True)
    fill(small_disk, leave=3 * MB)
    with pytest.raises(DataError, match=r"could not be kept in .*: no space left on device"):
        keep_upload(io.BytesIO(PIECE * 8), "a.jsonl")
    assert list(home.uploads_folder().iterdir()) == []


def test_what_a_killed_app_has_left_is_swept_after_a_day(studio_home):
    home.uploads_folder().mkdir(parents=True)
    old, new = home.upload_aside("old"), home.upload_aside("new")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - STALE_S - 60,) * 2)
    keep_upload(io.BytesIO(LINE), "a.jsonl")
    assert not old.exists() and new.exists()


@pytest.mark.browser
@pytest.mark.skipif(not chromium() and not os.environ.get("CI"), reason="no Chromium on this machine")
def test_a_large_file_that_is_chosen_in_the_browser_becomes_a_data_set_of_the_draft(app, tmp_path):
    big = tmp_path / "my rows.jsonl"
    with big.open("wb") as file:
        file.writelines(LINE * 10_000 for _ in range(800))  # 296 MB
    with browser() as found:
        page = found.new_page()
        page.goto(f"{app.url}/model_and_data")
        page.get_by_role("button", name="Upload files").click()
        page.locator("input[type=file]").first.wait_for(state="attached")
        before = reset_peak(psutil.Process(app.process.pid))
        page.locator("input[type=file]").first.set_input_files(big)
        page.get_by_text(re.compile("my-rows-[0-9a-f]{8}")).first.wait_for(timeout=60_000)
    (kept,) = (app.home / "uploads").iterdir()
    assert re.fullmatch(r"my-rows-[0-9a-f]{8}\.jsonl", kept.name) and sha256(kept) == sha256(big)
    assert peak(psutil.Process(app.process.pid)) - before < 60 * MB
