"""The restore job: a run comes back from its backup, every byte of it verified, and goes on. Whole or not at all.

The backup may be a stranger's. So nothing is written outside of a folder aside before its manifest was read and its files
were verified; what a manifest may name stands in `core/hub/manifest.py`, and torch reads its pickles as weights only.

Where the Hub is away for too long or lets nobody read on, the disk gets full, the process is killed, or the machine shuts
down, that folder stays: the next restore of this backup goes on with it.
"""

import hashlib
import shutil
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.utils import disable_progress_bars

from core import home
from core.errors import HubError, RecipeError, StudioError
from core.files import FULL, append_line
from core.hardware import machine
from core.hub import account, manifest
from core.hub.manifest import DATA, RUN, FileFacts, Manifest
from core.hub.passing import PassingTrouble, patiently
from core.hub.patience import bear_silence
from core.hub.placed_data import place
from core.hub.repository import fetch_manifest
from core.hub.restore_asked import Restore, kept_of
from core.jobs import launcher
from core.jobs.asked import read
from core.jobs.ending import can_resume
from core.jobs.folder import Job
from core.jobs.listing import known_job
from core.jobs.worker import StopRequested, Worker

# Seconds between tries where the Hub is in trouble: a minute before anything is there, then five, in which a router begins anew.
FIRST_PAUSES_S = (1, 2, 4, 8, 15, 30)
PAUSES_S = (*FIRST_PAUSES_S, 60, 60, 60, 60)
SILENCE_S = 60.0
SPARE_BYTES = 200_000_000
KEPT = "What was fetched is kept: restore it again, and it goes on from there."


class CutOff(HubError):
    """What says nothing against the files that are here already: the Hub lets nobody read on, or the disk is full."""


def run(worker: Worker) -> None:
    """Do the whole job; raises StudioError."""
    wanted = read(worker.job, Restore)
    bear_silence(SILENCE_S)
    disable_progress_bars()
    worker.progress(f"Looking for {wanted.repository}", 0, 1)
    aside = worker.files.fetched
    with ExitStack() as over:
        over.callback(shutil.rmtree, worker.files.scratch, ignore_errors=True)
        try:
            commit, found = _whole(worker, wanted, aside)
        except (PassingTrouble, CutOff) as error:
            over.pop_all()
            raise HubError(f"{error} {KEPT}" if aside.is_dir() else str(error)) from None
        except StopRequested:
            if not worker.job.stop_asked:  # the machine shuts down
                over.pop_all()
            raise
        job = _put_in_place(wanted, commit, found, aside)
    # Before it is resumed: with that a new life of the run begins, in which it was not restored.
    lost = _about_backup(job)
    worker.finish("finished", " ".join([_go_on(job, wanted, found), *lost]), run=job.id)


def _whole(worker: Worker, wanted: Restore, aside: Path) -> tuple[str, Manifest]:
    """All of a backup; raises CutOff for a full disk too, whoever of us wrote to it."""
    try:
        return _fetched(worker, wanted, aside)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise CutOff(f"The disk is full: {error.filename or aside}. Make space first.") from None


def _fetched(worker: Worker, wanted: Restore, aside: Path) -> tuple[str, Manifest]:
    """All of a backup as it is now; looked for again where a run that still writes it has made the Hub forget that commit."""
    commit, found = patiently(wanted.repository, lambda: _found(wanted.repository), FIRST_PAUSES_S)
    left = aside if aside.is_dir() else kept_of(wanted.repository) or aside
    _refuse(found, wanted.repository, left)
    if left != aside:  # only now: whoever is not signed in, or has no room, does so and comes again
        aside.parent.mkdir(exist_ok=True)
        left.rename(aside)
    try:
        _fetch(worker, wanted, commit, found, aside)
    except PassingTrouble:
        raise
    except HubError:
        if not _moved_on(wanted.repository, commit):
            raise
        return _fetched(worker, wanted, aside)
    return commit, found


def _moved_on(repository: str, commit: str) -> bool:
    """Whether there is another commit of a backup by now; whoever may not look any more is told why a file was refused."""
    try:
        return patiently(repository, lambda: _found(repository), FIRST_PAUSES_S)[0] != commit
    except PassingTrouble:
        raise
    except HubError:
        return False


def _found(repository: str) -> tuple[str, Manifest]:
    """The newest commit of a backup, and what it holds; raises HubError where it is none."""
    info = HfApi().model_info(repository)
    if manifest.NAME not in {sibling.rfilename for sibling in info.siblings or ()}:
        raise HubError(f"{repository} is on the Hub, but it is not the backup of a run: it has no {manifest.NAME}.")
    return info.sha, fetch_manifest(repository, info.sha)


def _refuse(found: Manifest, repository: str, aside: Path) -> None:
    """Raise HubError where it is here already, or there is no room for it, or nothing to begin with."""
    if here := known_job(found.job):
        raise HubError(f"The run in {repository} is here already: {here.name}, {here.status}. Its id is {here.id}.")
    if f"{RUN}/recipe.yaml" not in found.files:
        raise HubError(f"{repository} cannot be trusted as a backup: it has no recipe. Nothing was restored.")
    free = machine(home.home()).disk_free_bytes + sum(file.lstat().st_size for file in aside.rglob("*"))
    if free < 2 * found.size_bytes + SPARE_BYTES:
        needed = (2 * found.size_bytes + SPARE_BYTES) / 1e9
        raise HubError(
            f"The disk has {free / 1e9:.1f} GB free, and this backup needs {needed:.1f} GB. Make space first."
        )


def _fetch(worker: Worker, wanted: Restore, commit: str, found: Manifest, aside: Path) -> None:
    """All files of a backup, at that commit, each as the manifest says, and no others."""
    _keep_only(found, aside)
    done = 0
    # Texts first: a recipe that cannot be used is known before gigabytes are fetched.
    for path, facts in sorted(found.files.items(), key=lambda item: item[1].size_bytes):
        worker.progress(f"Restoring from {wanted.repository}", done, found.size_bytes)
        if not _is(_one(wanted.repository, path, commit, aside), facts):
            raise HubError(f"{path} in {wanted.repository} is not what was backed up there. Nothing was restored.")
        done += facts.size_bytes
    worker.progress(f"Restoring from {wanted.repository}", done, found.size_bytes)


def _one(repository: str, path: str, commit: str, aside: Path) -> Path:
    """One file of a backup; raises CutOff where the Hub does not give it, PassingTrouble where it may later."""
    fetch = partial(hf_hub_download, repository, path, revision=commit, local_dir=aside)
    try:
        return Path(patiently(repository, fetch, PAUSES_S))
    except PassingTrouble:
        raise
    except HubError as error:
        raise CutOff(str(error)) from None


def _keep_only(found: Manifest, aside: Path) -> None:
    """Of what is there already, only whole files of the backup; whoever fetches them finds them there."""
    there = [one for top in (RUN, DATA) for one in (aside / top).rglob("*")]
    for one in sorted(there, reverse=True):  # what lies in a folder before the folder
        if one.is_dir() and not one.is_symlink():
            if not any(one.iterdir()):
                one.rmdir()
        elif not _listed(found, one.relative_to(aside).as_posix(), one):
            one.unlink()


def _listed(found: Manifest, path: str, file: Path) -> bool:
    return path in found.files and _is(file, found.files[path])


def _is(file: Path, facts: FileFacts) -> bool:
    if file.is_symlink() or file.stat().st_size != facts.size_bytes:
        return False
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == facts.sha256


def _put_in_place(wanted: Restore, commit: str, found: Manifest, aside: Path) -> Job:
    """The data files to the others, then the whole folder among the jobs."""
    run_aside = Job(aside / RUN)
    try:
        recipe = run_aside.recipe
    except RecipeError as error:
        raise HubError(f"The recipe in {wanted.repository} cannot be used here. {error}") from None
    _check_code(run_aside, wanted.repository)
    backup = recipe.checkpoints.hub_backup
    keeps_backup = _may_write(backup)
    place(run_aside, found.data, aside, keeps_backup)
    said = {"repository": wanted.repository, "commit": commit, "step": found.step}
    said |= {"without": backup} if backup and not keeps_backup else {}
    append_line(run_aside.files.events, {"time": time.time(), "event": "restored"} | said)
    home.jobs_folder().mkdir(parents=True, exist_ok=True)
    return Job(run_aside.folder.rename(home.job_folder(found.job)))


def _check_code(job: Job, repository: str) -> None:
    """Raise HubError where other code would run than the recipe names: a resume goes by what the model was resolved to."""
    model, resolved = job.recipe.model, job.resolved.get("model")
    revision = resolved.get("revision") if isinstance(resolved, dict) else None
    if model.trust_remote_code and revision not in (None, model.revision):
        raise HubError(
            f"{repository} cannot be trusted as a backup: it names two commits of {model.source}, whose code runs."
        )


def _may_write(repository: str | None) -> bool:
    """Whether the backup can go on where it was: a colleague may read it and no more."""
    token = account.token()
    if not repository or token is None:
        return False
    try:
        return account.who(token).may_write(repository)
    except HubError:
        return True  # it is seen again before the training begins


def _about_backup(job: Job) -> list[str]:
    """A sentence where the run came back without its backup."""
    lost = (job.newest_event("restored") or {}).get("without")
    return [f"From here it is not backed up: you may not write to {lost}."] if lost else []


def _go_on(job: Job, wanted: Restore, found: Manifest) -> str:
    """Resume it; what became of it, in a sentence."""
    where = f"at step {found.step:,}" if found.step else "from before its first checkpoint"
    back = f"{job.name} is back, {where}."
    if not can_resume(job):
        return f"{back} It is {job.status}."
    if not wanted.resume:
        return f"{back} Resume goes on from there."
    if job.recipe.model.trust_remote_code:
        # Said by whoever wrote the backup, and not yet by the one who restores it.
        return f"{back} {job.recipe.model.source} runs code of its own: resume it if you trust that."
    try:
        launcher.resume(job)
    except StudioError as error:
        return f"{back} It cannot go on yet: {error}"
    return f"{back} It goes on now."
