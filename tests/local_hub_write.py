"""What the local Hub does for writers: make, change and delete repositories, take large files, commit."""

import base64
import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests import local_hub_history as past
from tests.local_hub_access import asked_for, named, refusal, repository_of, token_of, writer
from tests.local_hub_repository import (
    GATE,
    LARGE,
    PRIVATE,
    TAG,
    Repository,
    Snapshot,
    changing,
    etag,
    is_commit,
    is_large,
    sha256,
)
from tests.local_hub_space import BASIC, PAID, runtime, set_up, settings


async def create(request: Request) -> Response:
    asked, token = await request.json(), token_of(request)
    repository = _named(request, asked)
    if token is None or not token.may_write(repository.namespace):
        said = f'You don\'t have the rights to create a {repository.kind[:-1]} under the namespace "{repository.namespace}"'
        raise refusal(403 if token else 401, None, said)
    url = {"url": f"{request.base_url}{_prefix(repository)}{repository.id}", "name": repository.id}
    if repository.folder.exists():
        return JSONResponse(url | {"error": f"You already created this {repository.kind[:-1]} repo"}, 409)
    _refuse_unpaid(asked.get("hardware", BASIC), token.user)
    attributes = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in sorted(LARGE))
    await run_in_threadpool(past.create, repository, {".gitattributes": attributes.encode()}, token.user)
    _set_visibility(repository, asked)
    if repository.kind == "spaces":
        secrets = [secret["key"] for secret in asked.get("secrets") or []]
        variables = {variable["key"]: variable["value"] for variable in asked.get("variables") or []}
        set_up(repository, hardware=asked.get("hardware", BASIC), secrets=secrets, variables=variables)
    return JSONResponse(url)


async def delete(request: Request) -> Response:
    repository = _named(request, await request.json())
    request.path_params.update(kind=repository.kind, owner=repository.namespace, name=repository.folder.name)
    await run_in_threadpool(past.delete, writer(request)[0])
    return JSONResponse({})


async def change_settings(request: Request) -> Response:
    asked, (repository, _) = await request.json(), writer(request)
    _set_visibility(repository, asked)
    if asked.get("gated") is False:
        (repository.folder / GATE).unlink(missing_ok=True)
    elif "gated" in asked:
        (repository.folder / GATE).touch()
    return JSONResponse({"private": repository.private, "gated": asked.get("gated", False)})


async def preupload(request: Request) -> Response:
    """How each file is to come, and what the repository has in its place."""
    writer(request)
    asked, (_, snapshot) = await request.json(), asked_for(request)
    return JSONResponse(
        {
            "files": [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if is_large(file["path"], file["size"]) else "regular",
                    "shouldIgnore": False,
                    "oid": etag(snapshot.files[file["path"]]) if file["path"] in snapshot.files else None,
                }
                for file in asked["files"]
            ]
        }
    )


async def large_batch(request: Request) -> Response:
    """Where large files are to be put; those that are there already have nothing to do."""
    repository, _ = writer(request)
    answers = []
    for wanted in (await request.json())["objects"]:
        actions = {}
        if not _stored(request, wanted["oid"]).exists():
            put = {"href": f"{request.base_url}large-files/{wanted['oid']}"}
            verify = {"href": f"{request.base_url}{_prefix(repository)}{repository.id}.git/info/lfs/objects/verify"}
            actions = {"actions": {"upload": put, "verify": verify}}
        answers.append({"oid": wanted["oid"], "size": wanted["size"]} | actions)
    return JSONResponse({"transfer": "basic", "objects": answers})


async def put_large(request: Request) -> Response:
    """The contents of a large file; kept only if they are whole."""
    to = _stored(request, request.path_params["oid"])
    to.parent.mkdir(parents=True, exist_ok=True)
    aside, digest = to.with_name(f".{uuid.uuid4().hex}"), hashlib.sha256()
    try:
        with aside.open("wb") as file:
            async for chunk in request.stream():
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != to.name:
            raise refusal(400, None, "The contents are not what was announced.")
        aside.rename(to)
    finally:
        aside.unlink(missing_ok=True)
    return Response()


async def verify_large(request: Request) -> Response:
    writer(request)
    asked = await request.json()
    there = _stored(request, asked["oid"])
    if not there.exists() or there.stat().st_size != asked["size"]:
        raise refusal(404, None, "The object is not there.")
    return JSONResponse({})


async def commit(request: Request) -> Response:
    """All operations of a body of JSON lines, or none of them."""
    repository, token = writer(request)
    lines = [json.loads(line) for line in (await request.body()).splitlines() if line.strip()]
    branch = named(request, "revision")
    oid = await run_in_threadpool(_commit, request, repository, branch, lines, token.user)
    url = f"{request.base_url}{_prefix(repository)}{repository.id}/commit/{oid}"
    return JSONResponse({"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})


def _commit(request: Request, repository: Repository, branch: str, lines: list[dict], user: str) -> str:
    said = next(line["value"] for line in lines if line["key"] == "header")
    with changing:
        if not repository.state(branch).is_dir() or is_commit(branch) or repository.is_tag(branch):
            raise refusal(404, "RevisionNotFound", f"Invalid rev id: {branch}")
        snapshot = Snapshot(repository.state(branch))
        if said.get("parentCommit", snapshot.commit) != snapshot.commit:
            raise refusal(412, None, "A commit has happened since. Please refresh and try again.")
        changes = list(_changes(request, snapshot, lines))
        return past.commit(repository, branch, changes, said, user)


def _changes(request: Request, snapshot: Snapshot, lines: Iterable[dict]) -> Iterator[past.Change]:
    here = {sha256(path): path for name, path in snapshot.files.items() if is_large(name, path.stat().st_size)}
    for line in lines:
        value = line["value"]
        if line["key"] == "file":
            yield past.Change(value["path"], base64.b64decode(value["content"]))
        elif line["key"] == "lfsFile":
            stored = _stored(request, value["oid"])
            if not stored.exists() and value["oid"] not in here:
                raise refusal(400, None, f"{value['path']} points to a large file that was not uploaded.")
            yield past.Change(value["path"], stored if stored.exists() else here[value["oid"]])
        elif line["key"] in ("deletedFile", "deletedFolder"):
            if snapshot.entry(value["path"].rstrip("/")) is None:
                raise refusal(404, "EntryNotFound", f"A file with this name doesn't exist: {value['path']}", snapshot)
            yield past.Change(value["path"].rstrip("/"), None)


async def branch(request: Request) -> Response:
    """Make a branch where another stands, or delete it."""
    repository, _ = writer(request)
    label = named(request, "label")
    if request.method == "DELETE":
        return _take_away(repository, label)
    asked = json.loads(await request.body() or b"{}")
    return _put_beside(repository, label, asked.get("startingPoint", "main"))


async def tag(request: Request) -> Response:
    """Give a revision a name for good, or take the name away."""
    repository, _ = writer(request)
    if request.method == "DELETE":
        return _take_away(repository, named(request, "label"))
    label = (await request.json())["tag"]
    answer = _put_beside(repository, label, named(request, "label"))
    (repository.state(label) / TAG).touch()
    return answer


def _put_beside(repository: Repository, label: str, at: str) -> Response:
    with changing:
        there, snapshot = repository.state(label), repository.snapshot(at)
        if there.exists():
            return JSONResponse({"error": "Reference already exists"}, 409)
        if snapshot is None:
            raise refusal(404, "RevisionNotFound", f"Invalid rev id: {at}")
        past.copy_state(snapshot, there)
    return JSONResponse({})


def _take_away(repository: Repository, label: str) -> Response:
    with changing:
        if label == "main" or not repository.state(label).is_dir():
            raise refusal(404, "RevisionNotFound", f"Invalid rev id: {label}")
        shutil.rmtree(repository.state(label))
    return JSONResponse({})


async def squash(request: Request) -> Response:
    repository, token = writer(request)
    message = (await request.json())["message"]
    await run_in_threadpool(past.squash, repository, named(request, "revision"), message, token.user)
    return JSONResponse({})


def large_files(request: Request) -> Response:
    repository = repository_of(request)
    found = past.large_files(repository)
    return JSONResponse(
        [
            {"fileOid": oid, "oid": oid, "filename": path.name, "size": path.stat().st_size, "pushedAt": past.now()}
            for oid, path in found.items()
        ]
    )


async def delete_large_files(request: Request) -> Response:
    repository, _ = writer(request)
    oids = set((await request.json())["deletions"]["sha"])
    await run_in_threadpool(past.forget_large_files, repository, oids)
    return JSONResponse({})


async def space_setting(request: Request) -> Response:
    """Hardware, variables and secrets; a secret's value can never be read again."""
    repository, token = writer(request)
    asked, known, what = await request.json(), settings(repository), request.path_params["what"]
    if what == "hardware":
        _refuse_unpaid(asked["flavor"], token.user)
        set_up(repository, hardware=asked["flavor"])
    elif what == "variables":
        set_up(repository, variables=known.get("variables", {}) | {asked["key"]: asked["value"]})
    elif what == "secrets":
        set_up(repository, secrets=sorted({*known.get("secrets", []), asked["key"]}))
    return JSONResponse(runtime(repository, repository.snapshot("main")))


def space_secrets(request: Request) -> Response:
    """The names of a Space's secrets, for those who may change it."""
    repository, _ = writer(request)
    return JSONResponse({name: {"updatedAt": past.now()} for name in settings(repository).get("secrets", [])})


def space_runtime(request: Request) -> Response:
    return JSONResponse(runtime(*asked_for(request)))


def _named(request: Request, asked: dict[str, Any]) -> Repository:
    """The repository that a body names."""
    token = token_of(request)
    owner, kind = asked.get("organization") or (token.user if token else ""), f"{asked.get('type') or 'model'}s"
    return Repository(kind, f"{owner}/{asked['name']}", request.app.state.root / kind / owner / asked["name"])


def _prefix(repository: Repository) -> str:
    return "" if repository.kind == "models" else f"{repository.kind}/"


def _set_visibility(repository: Repository, asked: dict[str, Any]) -> None:
    wanted = asked.get("visibility") or {True: "private", False: "public"}.get(asked.get("private"))
    if wanted == "private":
        (repository.folder / PRIVATE).touch()
    elif wanted:
        (repository.folder / PRIVATE).unlink(missing_ok=True)


def _refuse_unpaid(hardware: str, user: str) -> None:
    """Only ann has a card; ZeroGPU is for PRO accounts, which nobody has here."""
    if hardware in PAID and (user != "ann" or hardware == "zero-a10g"):
        raise refusal(402, None, "Payment required: subscribe to PRO or add a payment method to use this hardware.")


def _stored(request: Request, oid: str) -> Path:
    return request.app.state.root / ".large" / Path(oid).name


REPOSITORY = "/api/{kind}/{owner}/{name}"
ROUTES = [
    Route("/api/repos/create", create, methods=["POST"]),
    Route("/api/repos/delete", delete, methods=["DELETE"]),
    Route("/large-files/{oid}", put_large, methods=["PUT"]),
    Route(REPOSITORY + "/settings", change_settings, methods=["PUT"]),
    Route(REPOSITORY + "/preupload/{revision}", preupload, methods=["POST"]),
    Route(REPOSITORY + "/commit/{revision}", commit, methods=["POST"]),
    Route(REPOSITORY + "/branch/{label}", branch, methods=["POST", "DELETE"]),
    Route(REPOSITORY + "/tag/{label}", tag, methods=["POST", "DELETE"]),
    Route(REPOSITORY + "/super-squash/{revision}", squash, methods=["POST"]),
    Route(REPOSITORY + "/lfs-files", large_files),
    Route(REPOSITORY + "/lfs-files/batch", delete_large_files, methods=["POST"]),
    Route(REPOSITORY + "/runtime", space_runtime),
    Route(REPOSITORY + "/secrets", space_secrets),
    Route(REPOSITORY + "/{what}", space_setting, methods=["POST"]),
    Route("/{kind}/{owner}/{name}.git/info/lfs/objects/batch", large_batch, methods=["POST"]),
    Route("/{owner}/{name}.git/info/lfs/objects/batch", large_batch, methods=["POST"]),
    Route("/{kind}/{owner}/{name}.git/info/lfs/objects/verify", verify_large, methods=["POST"]),
    Route("/{owner}/{name}.git/info/lfs/objects/verify", verify_large, methods=["POST"]),
]
