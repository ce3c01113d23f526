"""The job that pushes a chat Space: one commit, and nothing that somebody has changed there is replaced unasked."""

from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, SpaceInfo, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from core.errors import HubError
from core.hub.published import look
from core.hub.refusals import SIGN_IN, hub_errors_in_words
from core.hub.space_asked import Space, digest, sent_to, texts_of
from core.hub.space_files import NAMES, README, Shown
from core.hub.space_hardware import DEFAULT, HARDWARE
from core.jobs.asked import read
from core.jobs.worker import Worker

SECRET = "HF_TOKEN"
# What the Hub itself puts into a new Space.
FRESH = {".gitattributes", README}
# Asked for hardware that an account may not have, the Hub wants money or rights.
REFUSED = (402, 403)


@dataclass
class Push:
    """One push under way: what is asked, what is there, and what is to be told at the end."""

    worker: Worker
    asked: Space
    texts: dict[str, str]
    api: HfApi = field(default_factory=HfApi)

    @property
    def url(self) -> str:
        return f"{constants.ENDPOINT}/spaces/{self.asked.space}"


def run(worker: Worker) -> None:
    """Do the whole job; raises HubError with a sentence for the person."""
    push = Push(worker, read(worker.job, Space), texts_of(worker.job))
    worker.phase("running")
    if get_token() is None:
        raise HubError(f"To make a Space, the Hub must know who you are: {SIGN_IN}.")
    shown = look(push.asked.model)
    with hub_errors_in_words(push.asked.space):
        there = _there(push)
        changed = _changed(push, there) if there else {}
        if changed:
            _refuse(push, changed)
            return
        told = [*_push(push, there), *_about_token(push, shown)]
    worker.finish("finished", " ".join(told), url=push.url)


def _there(push: Push) -> SpaceInfo | None:
    """The Space as it is now; None where there is none."""
    try:
        found = push.api.space_info(push.asked.space)
    except RepositoryNotFoundError:
        return None
    if found.sdk not in (None, "gradio"):
        raise HubError(f"{push.asked.space} is a Space of another kind, {found.sdk}. Choose another name.")
    return found


def _changed(push: Push, there: SpaceInfo) -> dict[str, str]:
    """The files of the Space, with their text, that were not sent from here and may not be replaced."""
    files = {file.rfilename for file in there.siblings or []}
    if files <= FRESH:
        return {}
    sent = sent_to(push.asked.space)
    found = {name: _text(push, there, name) for name in NAMES if name in files}
    return {
        name: text
        for name, text in found.items()
        if text not in sent[name] and push.asked.replace.get(name) != digest(text)
    }


def _text(push: Push, there: SpaceInfo, name: str) -> str:
    path = push.api.hf_hub_download(there.id, name, repo_type="space", revision=there.sha)
    return Path(path).read_text(encoding="utf-8", errors="replace")


def _refuse(push: Push, changed: dict[str, str]) -> None:
    """Keep what was found, so that it can be looked at and taken over."""
    for name, text in changed.items():
        path = push.worker.files.found_in_space(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    were = f"{' and '.join(changed)} {'was' if len(changed) == 1 else 'were'}"
    push.worker.finish(
        "failed",
        f"{were} changed in {push.asked.space} by somebody, so nothing was pushed. Take over what stands there, or push again "
        "and replace it.",
        url=push.url,
    )


def _push(push: Push, there: SpaceInfo | None) -> list[str]:
    """Make the Space or bring it up to date; what came of it, in sentences."""
    push.worker.progress("Pushing the Space", 0, len(NAMES))
    if there is None:
        on = _make(push)
        commit = push.api.space_info(push.asked.space).sha
    else:
        if push.asked.secret:
            push.api.add_space_secret(push.asked.space, SECRET, get_token() or "")
        on, commit = [], there.sha
    _commit(push, commit)
    push.worker.progress("Pushing the Space", len(NAMES), len(NAMES))
    return [*_is_there(push, there), *(on if there is None else _move(push))]


def _make(push: Push) -> list[str]:
    """A new Space, on the hardware that was asked for if the account may have it."""
    asked = push.asked
    secrets = [{"key": SECRET, "value": get_token()}] if asked.secret else None
    what = {"repo_type": "space", "space_sdk": "gradio", "private": asked.private, "space_secrets": secrets}
    if asked.hardware != DEFAULT:
        try:
            push.api.create_repo(asked.space, **what, space_hardware=HARDWARE[asked.hardware].flavor)
            return []
        except HfHubHTTPError as error:
            if error.response.status_code not in REFUSED:
                raise
    push.api.create_repo(asked.space, **what)
    return [] if asked.hardware == DEFAULT else [_not_given(push)]


def _commit(push: Push, parent: str | None) -> None:
    """All files or none; none of them if somebody else has committed since it was looked at."""
    files = [CommitOperationAdd(name, text.encode()) for name, text in push.texts.items()]
    push.api.create_commit(
        push.asked.space,
        files,
        commit_message=f"Chat with {push.asked.model}",
        repo_type="space",
        parent_commit=parent,
    )


def _move(push: Push) -> list[str]:
    """Ask for other hardware for a Space that is there, where it has another."""
    wanted = HARDWARE[push.asked.hardware].flavor
    runtime = push.api.get_space_runtime(push.asked.space)
    if (runtime.requested_hardware or runtime.hardware or wanted) == wanted:
        return []
    try:
        push.api.request_space_hardware(push.asked.space, wanted)
    except HfHubHTTPError as error:
        if error.response.status_code not in REFUSED:
            raise
        return [_not_given(push)]
    return [f"It moves to {HARDWARE[push.asked.hardware].title}."]


def _not_given(push: Push) -> str:
    wanted = HARDWARE[push.asked.hardware]
    return (
        f"The Hub did not give it {wanted.title}: that needs {wanted.wants}. It stays on what it has until you choose "
        f"hardware at {push.url}/settings."
    )


def _is_there(push: Push, there: SpaceInfo | None) -> list[str]:
    private = push.asked.private if there is None else there.private
    seen = "Only those who may see it can open it." if private else "Everybody can open it."
    return [f"{push.asked.space} is on the Hub and starts in some minutes.", seen]


def _about_token(push: Push, shown: Shown) -> list[str]:
    if push.asked.secret:
        return [f"It has your token as the secret {SECRET}."]
    if not shown.why_token:
        return []
    if SECRET in push.api.get_space_secrets(push.asked.space):
        return [f"It reads {shown.id} with the secret {SECRET} that it has."]
    return [
        f"{shown.why_token}, so it cannot read it yet: set a secret {SECRET} with a token that may at {push.url}/settings, or "
        "make the model public."
    ]
