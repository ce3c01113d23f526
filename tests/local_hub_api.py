"""What the local Hub answers to readers: the paths, headers and error codes of the Hub that its clients read by."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from tests.local_hub_access import (
    HTTPException,
    asked_for,
    named,
    no_repository,
    pass_the_gate,
    refusal,
    refused,
    token_of,
    visible,
    writer,
)
from tests.local_hub_accounts import Token
from tests.local_hub_card import errors, metadata, warnings
from tests.local_hub_history import history
from tests.local_hub_repository import Repository, Snapshot, etag, is_commit
from tests.local_hub_space import runtime
from tests.local_hub_write import ROUTES as WRITE_ROUTES


def whoami(request: Request) -> Response:
    token = token_of(request)
    if token is None:
        raise refusal(401, None, "Invalid username or password.")
    return JSONResponse(token.description)


def agent_harnesses(request: Request) -> Response:
    """Which programs call themselves agents: the client asks once a day, to say in its requests who it works for."""
    return JSONResponse({"standardEnvVars": [], "harnesses": {}})


def info(request: Request) -> Response:
    """What a repository is. Open to all even where it is gated, as its list of files is: the gate is before contents."""
    repository, snapshot = asked_for(request)
    siblings = [_sibling(snapshot.entry(name), "blobs" in request.query_params) for name in snapshot.files]
    about = _about(repository, snapshot) | {"siblings": siblings}
    return JSONResponse(about, headers={"X-Repo-Commit": snapshot.commit})


def listing(request: Request) -> Response:
    """The repositories that the one who asks may see, the newest first; by author, a part of the id, and tags."""
    asked, kind = request.query_params, request.path_params["kind"]
    found = []
    for repository in _all(request.app.state.root, kind):
        about = _about(repository, repository.snapshot("main"))
        right = asked.get("author") in (None, repository.namespace) and asked.get("search", "") in repository.id
        if right and visible(repository, token_of(request)) and set(asked.getlist("filter")) <= set(about["tags"]):
            found.append(about)
    found.sort(key=lambda about: about["lastModified"], reverse=True)
    return JSONResponse(found[: int(asked.get("limit", len(found)))])


def tree(request: Request) -> Response:
    _, snapshot = asked_for(request)
    under = named(request, "path")
    if under and (snapshot.entry(under) or {}).get("type") != "directory":
        raise refusal(404, "EntryNotFound", f"{under} does not exist on this revision.", snapshot)
    recursive = request.query_params.get("recursive", "").lower() == "true"
    return JSONResponse(list(snapshot.tree(under, recursive)))


async def paths_info(request: Request) -> Response:
    """Entries for the paths in the form that is sent; what does not exist is left out."""
    _, snapshot = asked_for(request)
    paths = parse_qs((await request.body()).decode()).get("paths", [])
    return JSONResponse([entry for entry in map(snapshot.entry, paths) if entry])


def commits(request: Request) -> Response:
    repository, _ = asked_for(request)
    entries = history(repository, named(request, "revision"))
    return JSONResponse(
        [
            {"id": entry.id, "title": entry.title, "message": entry.message, "date": entry.date,
             "authors": [{"user": entry.user}]}
            for entry in entries
        ]
    )  # fmt: skip


def refs(request: Request) -> Response:
    repository, snapshot = asked_for(request)
    named = {label: Snapshot(folder) for label, folder in repository.others.items() if not is_commit(label)}
    tags = {label for label in named if repository.is_tag(label)}
    branches = [_ref("heads", "main", snapshot.commit)]
    branches += [_ref("heads", label, kept.commit) for label, kept in named.items() if label not in tags]
    marks = [_ref("tags", label, named[label].commit) for label in tags]
    return JSONResponse({"branches": branches, "converts": [], "tags": marks})


def auth_check(request: Request) -> Response:
    pass_the_gate(request)
    return JSONResponse({})


def auth_check_write(request: Request) -> Response:
    writer(request)
    return JSONResponse({})


def resolve(request: Request) -> Response:
    """The contents of a file, whole or a range of them, or with HEAD what it is."""
    snapshot, name = pass_the_gate(request), request.path_params["path"]
    if name not in snapshot.files:
        raise refusal(404, "EntryNotFound", "Entry not found", snapshot)
    path = snapshot.files[name]
    return FileResponse(path, headers={"ETag": f'"{etag(path)}"', "X-Repo-Commit": snapshot.commit})


async def validate_yaml(request: Request) -> Response:
    """What is wrong with the metadata of a README."""
    asked = await request.json()
    wrong = errors(asked["content"], asked["repoType"])
    said = {"errors": [{"message": text} for text in wrong],
            "warnings": [{"message": text} for text in warnings(asked["content"])]}  # fmt: skip
    return JSONResponse(said, 400 if wrong else 200)


def unknown(request: Request) -> Response:
    """Any other path: most often a repository's name without its owner."""
    raise no_repository(request)


def _about(repository: Repository, snapshot: Snapshot) -> dict:
    readme = snapshot.files.get("README.md")
    card = metadata(readme.read_text()) if readme else {}
    changed = _moment(max((path.stat().st_mtime for path in snapshot.files.values()), default=0))
    gated = "auto" if repository.accepted is not None else False
    space = {"sdk": card.get("sdk"), "runtime": runtime(repository, snapshot)} if repository.kind == "spaces" else {}
    return {
        "id": repository.id, "author": repository.namespace, "sha": snapshot.commit, "private": repository.private,
        "gated": gated, "tags": _tags(card), "cardData": card or None, "lastModified": changed, "createdAt": changed,
    } | space  # fmt: skip


def _tags(card: dict) -> list[str]:
    named = card.get("tags")
    tags = [tag for tag in named if isinstance(tag, str)] if isinstance(named, list) else []
    base = [f"base_model:{card['base_model']}"] if isinstance(card.get("base_model"), str) else []
    return tags + base + ([card["library_name"]] if card.get("library_name") else [])


def _all(root: Path, kind: str) -> Iterator[Repository]:
    for folder in sorted((root / kind).glob("*/*")):
        if "@" not in folder.name and not folder.name.startswith("."):
            yield Repository(kind, f"{folder.parent.name}/{folder.name}", folder)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _ref(kind: str, name: str, commit: str) -> dict:
    return {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit}


def _sibling(entry: dict, detailed: bool) -> dict:
    """A file as the description of a repository lists it; `lfs` differs from that of a tree."""
    large = {"lfs": entry["lfs"] | {"sha256": entry["lfs"]["oid"]}} if "lfs" in entry else {}
    return {"rfilename": entry["path"]} | ({"size": entry["size"], "blobId": entry["oid"]} | large if detailed else {})


REPOSITORY = "/api/{kind}/{owner}/{name}"
ROUTES = [
    Route("/api/whoami-v2", whoami),
    Route("/api/validate-yaml", validate_yaml, methods=["POST"]),
    *WRITE_ROUTES,
    Route("/api/agent-harnesses", agent_harnesses),
    Route("/api/{kind}", listing),
    Route(REPOSITORY, info),
    Route(REPOSITORY + "/revision/{revision}", info),
    Route(REPOSITORY + "/tree/{revision}", tree),
    Route(REPOSITORY + "/tree/{revision}/{path:path}", tree),
    Route(REPOSITORY + "/paths-info/{revision}", paths_info, methods=["POST"]),
    Route(REPOSITORY + "/commits/{revision}", commits),
    Route(REPOSITORY + "/refs", refs),
    Route(REPOSITORY + "/auth-check", auth_check),
    Route(REPOSITORY + "/auth-check/write", auth_check_write),
    Route("/{kind}/{owner}/{name}/resolve/{revision}/{path:path}", resolve),
    Route("/{owner}/{name}/resolve/{revision}/{path:path}", resolve),
    Route("/{anything:path}", unknown),
]


def application(root: Path, tokens: dict[str, Token]) -> Starlette:
    """The Hub's paths over the repositories under `root`."""
    app = Starlette(routes=ROUTES, exception_handlers={HTTPException: refused})
    app.state.root, app.state.tokens = root, tokens
    return app
