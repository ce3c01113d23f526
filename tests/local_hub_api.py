"""What the local Hub answers: the paths, headers and error codes of the Hub that its clients read by."""

from pathlib import Path
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from tests.local_hub_repository import Repository, Snapshot, etag


def whoami(request: Request) -> Response:
    user = _user(request)
    if user is None:
        raise _refusal(401, None, "Invalid username or password.")
    access = {"type": "access_token", "accessToken": {"displayName": "tests", "role": "read"}}
    return JSONResponse({"type": "user", "id": user, "name": user, "fullname": user, "orgs": [], "auth": access})


def info(request: Request) -> Response:
    """What a repository is. Open to all even where it is gated, as its list of files is: the gate is before contents."""
    repository, snapshot = _asked_for(request)
    gated = "auto" if repository.accepted is not None else False
    siblings = [_sibling(snapshot.entry(name), "blobs" in request.query_params) for name in snapshot.files]
    about = {"id": repository.id, "sha": snapshot.commit, "private": False, "gated": gated, "siblings": siblings}
    return JSONResponse(about, headers={"X-Repo-Commit": snapshot.commit})


def tree(request: Request) -> Response:
    _, snapshot = _asked_for(request)
    under = request.path_params.get("path", "")
    if under and (snapshot.entry(under) or {}).get("type") != "directory":
        raise _refusal(404, "EntryNotFound", f"{under} does not exist on this revision.", snapshot)
    recursive = request.query_params.get("recursive", "").lower() == "true"
    return JSONResponse(list(snapshot.tree(under, recursive)))


async def paths_info(request: Request) -> Response:
    """Entries for the paths in the form that is sent; what does not exist is left out."""
    _, snapshot = _asked_for(request)
    paths = parse_qs((await request.body()).decode()).get("paths", [])
    return JSONResponse([entry for entry in map(snapshot.entry, paths) if entry])


def auth_check(request: Request) -> Response:
    _pass_the_gate(request)
    return JSONResponse({})


def resolve(request: Request) -> Response:
    """The contents of a file, whole or a range of them, or with HEAD what it is."""
    snapshot, name = _pass_the_gate(request), request.path_params["path"]
    if name not in snapshot.files:
        raise _refusal(404, "EntryNotFound", "Entry not found", snapshot)
    path = snapshot.files[name]
    return FileResponse(path, headers={"ETag": f'"{etag(path)}"', "X-Repo-Commit": snapshot.commit})


def unknown(request: Request) -> Response:
    """Any other path: most often a repository's name without its owner."""
    raise _no_repository(request)


def _asked_for(request: Request) -> tuple[Repository, Snapshot]:
    """The repository and revision that a path names."""
    kind, owner, name, revision = (request.path_params.get(part) for part in ("kind", "owner", "name", "revision"))
    repository = Repository(f"{owner}/{name}", request.app.state.root / (kind or "models") / owner / name)
    _user(request)  # refuses a bad token before anything else
    if not repository.folder.is_dir():
        raise _no_repository(request)
    snapshot = repository.snapshot(revision or "main")
    if snapshot is None:
        raise _refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return repository, snapshot


def _pass_the_gate(request: Request) -> Snapshot:
    """The revision that a path names, if the one who asks may have its contents."""
    repository, snapshot = _asked_for(request)
    user, accepted = _user(request), repository.accepted
    if accepted is not None and user not in accepted:
        reason = f"Access to {repository.id} is restricted. "
        raise _refusal(403 if user else 401, "GatedRepo", reason + "Accept its licence first.", snapshot)
    return snapshot


def _no_repository(request: Request) -> HTTPException:
    """To a stranger the Hub does not say whether there is none or it is private."""
    return _refusal(404 if _user(request) else 401, "RepoNotFound", "Repository not found")


def _user(request: Request) -> str | None:
    """Whose token came along; None without one. A token that is nobody's is refused even where none is needed."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token and not token.startswith("hf_"):
        raise _refusal(401, None, "Invalid credentials in Authorization header")
    return token.removeprefix("hf_") or None


def _sibling(entry: dict, detailed: bool) -> dict:
    """A file as the description of a repository lists it; `lfs` differs from that of a tree."""
    large = {"lfs": entry["lfs"] | {"sha256": entry["lfs"]["oid"]}} if "lfs" in entry else {}
    return {"rfilename": entry["path"]} | ({"size": entry["size"], "blobId": entry["oid"]} | large if detailed else {})


def _refusal(status: int, code: str | None, message: str, snapshot: Snapshot | None = None) -> HTTPException:
    """An error as the client reads it: by the code in its header first, by the status after that."""
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    commit = {"X-Repo-Commit": snapshot.commit} if snapshot else {}
    return HTTPException(status, message, headers | commit)


def _refused(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


REPOSITORY = "/api/{kind}/{owner}/{name}"
ROUTES = [
    Route("/api/whoami-v2", whoami),
    Route(REPOSITORY, info),
    Route(REPOSITORY + "/revision/{revision:path}", info),
    Route(REPOSITORY + "/tree/{revision}", tree),
    Route(REPOSITORY + "/tree/{revision}/{path:path}", tree),
    Route(REPOSITORY + "/paths-info/{revision}", paths_info, methods=["POST"]),
    Route(REPOSITORY + "/auth-check", auth_check),
    Route("/{kind}/{owner}/{name}/resolve/{revision}/{path:path}", resolve),
    Route("/{owner}/{name}/resolve/{revision}/{path:path}", resolve),
    Route("/{anything:path}", unknown),
]


def application(root: Path) -> Starlette:
    """The Hub's paths over the repositories under `root`."""
    app = Starlette(routes=ROUTES, exception_handlers={HTTPException: _refused})
    app.state.root = root
    return app
