"""The real client writes to the local Hub: what it keeps, whom it lets in, and what happens when something goes wrong."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.local_hub import local_hub
from tests.local_hub_history import create, history, squash
from tests.local_hub_repository import Repository
from tests.test_local_hub import client

pytestmark = pytest.mark.process

BEGIN = """
    import threading
    from pathlib import Path
    from huggingface_hub import CommitOperationAdd as Add, CommitOperationDelete as Delete, HfApi, ModelCard
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars
    disable_progress_bars()
    ann, team, reader, bob = (HfApi(token=f"hf_{name}") for name in ("ann", "ann_team", "ann_read", "bob"))

    def put(api, repository, *operations, **more):
        return api.create_commit(repository, operations, commit_message="A commit", **more).oid
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with local_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture(scope="module")
def seen(hub, tmp_path_factory):
    """What one process of plain `huggingface_hub` got."""
    script = (
        BEGIN
        + """
    ann.create_repo("ann/one", private=True)
    first = put(ann, "ann/one", Add("a.txt", b"then"), Add("deep/w.safetensors", b"0" * 9000))
    second = put(ann, "ann/one", Add("a.txt", b"now"), Delete("deep/", is_folder=True), parent_commit=first)
    then, again = (Path(snapshot_download("ann/one", revision=commit, token="hf_ann")) for commit in (first, "main"))
    ann.create_branch("ann/one", branch="try/out", revision=first)
    ann.create_tag("ann/one", tag="v1", revision=first)
    put(ann, "ann/one", Add("tried.txt", b""), revision="try/out")
    named = ann.list_repo_refs("ann/one")
    ann.create_repo("team/two")
    put(ann, "team/two", Add("README.md", b"---\\nlicense: mit\\ntags: [studio]\\n---\\n"), Add("w.bin", b"1" * 500))
    ann.create_repo("ann/space", repo_type="space", space_sdk="gradio")
    ann.upload_file(path_or_fileobj=b"", path_in_repo="app.py", repo_id="ann/space", repo_type="space")
    ann.create_repo("ann/squashed")
    lost = put(ann, "ann/squashed", Add("old.safetensors", b"2" * 500))
    put(ann, "ann/squashed", Delete("old.safetensors"))
    kept = [file.filename for file in ann.list_lfs_files("ann/squashed")]
    ann.super_squash_history("ann/squashed")
    ann.create_repo("ann/gone")
    ann.delete_repo("ann/gone")
    print(json.dumps({
        "files": [sorted(p.name for p in folder.rglob("*") if p.is_file()) for folder in (then, again)],
        "texts": [(folder / "a.txt").read_text() for folder in (then, again)],
        "titles": [commit.title for commit in ann.list_repo_commits("ann/one")],
        "late": outcome(lambda: put(ann, "ann/one", Add("b.txt", b""), parent_commit=first)),
        "branches": [branch.name for branch in named.branches],
        "tag": [named.tags[0].name, named.tags[0].target_commit == first],
        "tried": ann.file_exists("ann/one", "tried.txt", revision="try/out") and not ann.file_exists("ann/one", "tried.txt"),
        "on a tag": outcome(lambda: put(ann, "ann/one", Add("b.txt", b""), revision="v1")),
        "twice": outcome(lambda: ann.create_repo("ann/one")),
        "stranger": outcome(lambda: HfApi(token=False).model_info("ann/one")),
        "bob looks": outcome(lambda: bob.model_info("ann/one")),
        "bob's team": outcome(lambda: bob.create_repo("team/three")),
        "reader": outcome(lambda: put(reader, "ann/one", Add("b.txt", b""))),
        "reader looks": reader.model_info("ann/one").private,
        "reader creates": outcome(lambda: reader.create_repo("ann/four")),
        "team token": [outcome(lambda: team.create_repo("ann/four")), team.create_repo("team/four").repo_id],
        "role": [api.whoami()["auth"]["accessToken"]["role"] for api in (ann, reader, team)],
        "orgs": [[org["name"], org["roleInOrg"]] for org in bob.whoami()["orgs"]],
        "mine": sorted(model.id for model in ann.list_models(author="ann")),
        "others": [model.id for model in bob.list_models(author="ann")],
        "tagged": [model.id for model in bob.list_models(filter="studio")],
        "licence": ann.model_info("team/two").card_data.license,
        "space": [ann.space_info("ann/space").runtime.stage, ann.request_space_hardware("ann/space", "t4-small").hardware],
        "unpaid": outcome(lambda: ann.request_space_hardware("ann/space", "zero-a10g")),
        "squashed": [kept, outcome(lambda: ann.model_info("ann/squashed", revision=lost)),
                     list(ann.list_lfs_files("ann/squashed"))],
        "gone": outcome(lambda: ann.model_info("ann/gone")),
        "card": outcome(lambda: ModelCard("---\\nlicense: mit\\n---\\n").validate()),
        "bad card": outcome(lambda: ModelCard("---\\nlicense: nonsense\\n---\\n").validate())[0],
    }))
    """
    )
    return client(script, hub.environment(tmp_path_factory.mktemp("cache")))


def test_every_commit_keeps_the_state_it_made(seen):
    assert seen["files"] == [[".gitattributes", "a.txt", "w.safetensors"], [".gitattributes", "a.txt"]]
    assert seen["texts"] == ["then", "now"]
    assert seen["titles"] == ["A commit", "A commit", "initial commit"]


def test_a_commit_on_a_state_that_has_passed_is_refused(seen):
    assert seen["late"] == ["HfHubHTTPError", 412]


def test_a_branch_goes_its_own_way_and_a_tag_stays(seen):
    assert seen["branches"] == ["main", "try/out"] and seen["tried"]
    assert seen["tag"] == ["v1", True]
    assert seen["on a tag"] == ["RevisionNotFoundError", 404]


def test_a_private_repository_is_there_only_for_its_own(seen):
    assert seen["stranger"] == ["RepositoryNotFoundError", 401]
    assert seen["bob looks"] == ["RepositoryNotFoundError", 404]
    assert seen["reader looks"] is True
    assert seen["mine"] == ["ann/one", "ann/squashed"] and seen["others"] == ["ann/squashed"]


def test_only_a_token_and_a_user_who_may_write_can(seen):
    forbidden = ["HfHubHTTPError", 403]
    assert seen["reader"] == seen["reader creates"] == seen["bob's team"] == forbidden
    assert seen["team token"] == [forbidden, "team/four"]
    assert seen["role"] == ["write", "read", "fineGrained"]
    assert seen["orgs"] == [["team", "read"]]
    assert seen["twice"] == ["HfHubHTTPError", 409]


def test_models_are_found_by_what_their_card_says(seen):
    assert seen["tagged"] == ["team/two"] and seen["licence"] == "mit"
    assert seen["card"] is None and seen["bad card"] == "ValueError"


def test_a_space_has_a_machine_that_may_have_to_be_paid(seen):
    assert seen["space"] == ["RUNNING", "t4-small"]
    assert seen["unpaid"] == ["HfHubHTTPError", 402]


def test_what_is_squashed_or_deleted_is_gone(seen):
    assert seen["squashed"] == [["old.safetensors"], ["RevisionNotFoundError", 404], []]
    assert seen["gone"] == ["RepositoryNotFoundError", 404]


def test_who_reads_the_history_while_it_is_squashed_sees_one_or_the_other(tmp_path):
    repository = Repository("models", "ann/squashed", tmp_path / "squashed")
    create(repository, {"a.txt": b"one"}, "ann")

    def squash_often():
        for n in range(300):
            squash(repository, "main", f"squashed {n}", "ann")

    with ThreadPoolExecutor(1) as beside:
        squashing = beside.submit(squash_often)
        lengths = set()
        while not squashing.done():
            lengths.add(len(history(repository)))
        squashing.result()
    assert lengths == {1}


def test_what_goes_wrong_is_met_by_as_many_requests_as_asked(hub, tmp_path):
    script = (
        BEGIN
        + """
    ann.create_repo("ann/%s", exist_ok=True)
    print(json.dumps([
        outcome(lambda: len(put(ann, "ann/%s", Add("w.safetensors", b"3" * 70_000), Add("x", name.encode()))))
        for name in ("first", "second")
    ]))
    """
    )

    def run(name, **trouble):
        with hub.trouble(**trouble):
            return client(script.replace("%s", name), hub.environment(tmp_path, token="hf_ann"))

    assert run("refused", where="/commit/", status=409, times=1) == [["HfHubHTTPError", 409], 40]
    assert run("revoked", where="/commit/", status=401, times=1) == [["HfHubHTTPError", 401], 40]
    assert [entry.title for entry in hub.commits("models/ann/refused")] == ["A commit", "initial commit"]
    # A large file that did not arrive whole is not there; the client sends it again by itself.
    assert run("cut", where="/large-files/", method="PUT", cut_after=30_000, times=1) == [40, 40]
    assert (hub.root / "models/ann/cut/w.safetensors").read_bytes() == b"3" * 70_000


def test_a_download_that_was_cut_goes_on_where_it_was(hub, tmp_path):
    (hub.repository("models/me/big") / "w.safetensors").write_bytes(bytes(range(250)) * 4000)
    script = """
        from huggingface_hub import hf_hub_download
        from pathlib import Path
        print(json.dumps(Path(hf_hub_download("me/big", "w.safetensors")).stat().st_size))
    """
    with hub.trouble(where="/resolve/", method="GET", cut_after=600_000, times=1):
        asked = len(hub.requests)
        assert client(script, hub.environment(tmp_path)) == 1_000_000
    assert sum(request.startswith("GET /me/big/resolve") for request in hub.requests[asked:]) == 2


def test_a_slow_hub_is_slow_and_a_silent_one_times_out(hub, tmp_path):
    (hub.repository("models/me/small") / "w.safetensors").write_bytes(b"0" * 40_000)
    script = """
        import time
        from huggingface_hub import HfApi, hf_hub_download
        began = time.monotonic()
        hf_hub_download("me/small", "w.safetensors")
        print(json.dumps([time.monotonic() - began, outcome(lambda: HfApi().model_info("me/small", timeout=0.2))]))
    """
    with hub.trouble(where="/resolve/", bytes_per_s=80_000), hub.trouble(where="/api/models/me/small", delay_s=2):
        seconds, silent = client(script, hub.environment(tmp_path))
    assert seconds >= 0.45
    assert silent == ["ReadTimeout", None]


def test_no_reader_ever_sees_half_a_commit(hub, tmp_path):
    script = (
        BEGIN
        + """
    ann.create_repo("ann/pairs")
    put(ann, "ann/pairs", Add("a", b"0"), Add("b", b"0"))

    def write():
        for number in range(1, 20):
            put(ann, "ann/pairs", Add("a", b"%d" % number), Add("b", b"%d" % number))

    writer = threading.Thread(target=write)
    writer.start()
    halves, looks = 0, 0
    while writer.is_alive():
        ids = {entry.path: entry.blob_id for entry in ann.list_repo_tree("ann/pairs")}
        halves += ids["a"] != ids["b"]
        looks += 1
    print(json.dumps([halves, looks > 5]))
    """
    )
    assert client(script, hub.environment(tmp_path)) == [0, True]
