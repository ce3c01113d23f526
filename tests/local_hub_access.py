"""Who asks the local Hub for which repository, and whether they may; a refusal is worded as the Hub's clients read it."""

from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.local_hub_accounts import Token
from tests.local_hub_repository import Repository, Snapshot


def token_of(request: Request) -> Token | None:
    """Whose token came along; None without one. A token that is nobody's is refused even where none is needed."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if sent and sent not in request.app.state.tokens:
        raise refusal(401, None, "Invalid credentials in Authorization header")
    return request.app.state.tokens.get(sent)


def asked_for(request: Request) -> tuple[Repository, Snapshot]:
    """The repository and revision that a path names."""
    repository = repository_of(request)
    revision = named(request, "revision") or "main"
    snapshot = repository.snapshot(revision)
    if snapshot is None:
        raise refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return repository, snapshot


def named(request: Request, part: str) -> str:
    """A part of the path that may have slashes of its own: a branch, a tag, a folder."""
    return unquote(request.path_params.get(part, ""))


def repository_of(request: Request) -> Repository:
    """The repository that a path names, if it is one that the one who asks may know of."""
    kind, owner, name = (request.path_params.get(part) for part in ("kind", "owner", "name"))
    kind = kind or "models"
    token = token_of(request)  # refuses a bad token before anything else
    repository = Repository(kind, f"{owner}/{name}", request.app.state.root / kind / owner / name)
    if not repository.folder.is_dir() or not visible(repository, token):
        raise no_repository(request)
    return repository


def visible(repository: Repository, token: Token | None) -> bool:
    return not repository.private or (token is not None and token.may_read(repository.namespace))


def pass_the_gate(request: Request) -> Snapshot:
    """The revision that a path names, if the one who asks may have its contents."""
    repository, snapshot = asked_for(request)
    token, accepted = token_of(request), repository.accepted
    if accepted is not None and (token is None or token.user not in [*accepted, repository.namespace]):
        reason = f"Access to {repository.id} is restricted. "
        raise refusal(403 if token else 401, "GatedRepo", reason + "Accept its licence first.", snapshot)
    return snapshot


def writer(request: Request) -> tuple[Repository, Token]:
    """The repository that a path names and who changes it; refused where they may not."""
    repository, token = repository_of(request), token_of(request)
    if token is None:
        raise refusal(401, None, "Invalid username or password.")
    if not token.may_write(repository.namespace):
        raise refusal(403, None, f"Forbidden: this token may not write to {repository.id}.")
    return repository, token


def no_repository(request: Request) -> HTTPException:
    """To a stranger the Hub does not say whether there is none or it is private."""
    return refusal(404 if token_of(request) else 401, "RepoNotFound", "Repository not found")


def refusal(status: int, code: str | None, message: str, snapshot: Snapshot | None = None) -> HTTPException:
    """An error as the client reads it: by the code in its header first, by the status after that."""
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    commit = {"X-Repo-Commit": snapshot.commit} if snapshot else {}
    return HTTPException(status, message, headers | commit)


def refused(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
