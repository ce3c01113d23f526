"""Where things live: every path of the studio is a function of `$STUDIO_HOME`, and nothing else computes one."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from core.errors import HomeError

ROOT = Path(__file__).resolve().parent.parent

# What a job was asked beside its recipe, which for those about a run is that run's: kind of job -> file of its folder.
ASKED = {
    "evaluate": "evaluation.yaml",
    "publish": "publication.yaml",
    "export": "export.yaml",
    "restore": "restore.yaml",
    "space": "space.yaml",
}

# Folders here that a source may begin with, such as `uploads/faq.csv`: it means the same from every folder.
SOURCE_FOLDERS = ("uploads", "feedback")


def home() -> Path:
    """The studio's folder: `$STUDIO_HOME`, else `~/fine-tuning-studio`."""
    return Path(os.environ.get("STUDIO_HOME") or Path.home() / "fine-tuning-studio").expanduser().absolute()


def jobs_folder() -> Path:
    return home() / "jobs"


def start_lock() -> Path:
    """Held while a job is started, resumed, moved or deleted."""
    return jobs_folder() / ".start.lock"


def deleted_aside() -> Path:
    """Where a job lies while its files go, one at a time: the next takes away what a killed one has left."""
    return jobs_folder() / ".deleted"


def queue_file() -> Path:
    """The order of the waiting jobs, where a person has changed it."""
    return jobs_folder() / ".queue.json"


def device_lock(device: str) -> Path:
    """Held by the training that uses a device, such as `cpu` or `gpu-0`."""
    return jobs_folder() / f".device-{device}.lock"


def measured_file() -> Path:
    """What probes and runs have measured on this machine, a line each."""
    return home() / "measured.jsonl"


def paces_file() -> Path:
    """How fast the devices of this machine multiply."""
    return home() / "paces.json"


def uploads_folder() -> Path:
    return home() / "uploads"


def upload_aside(token: str) -> Path:
    """Where a file is written while it arrives; hidden, so that nobody takes it for a whole one."""
    return inside(uploads_folder(), f".new-{token}")


def uploads_aside() -> list[Path]:
    """The files that are arriving, or have been left."""
    return list(uploads_folder().glob(".new-*"))


def feedback_folder() -> Path:
    """What people thought of answers, as data sets: one file of JSON lines each."""
    return home() / "feedback"


def feedback_file(name: str) -> Path:
    return inside(feedback_folder(), f"{name}.jsonl")


def feedback_lock() -> Path:
    """Held while a feedback set is changed."""
    return feedback_folder() / ".lock"


def chats_folder() -> Path:
    return home() / "chats"


def chat_file(chat_id: str) -> Path:
    """One saved conversation."""
    return inside(chats_folder(), f"{chat_id}.json")


def votes_file() -> Path:
    """Every blind vote, a line each."""
    return home() / "votes.jsonl"


def prepared_folder() -> Path:
    return home() / "prepared"


def models_folder() -> Path:
    return home() / "models"


def starter_folder() -> Path:
    return models_folder() / "starter"


def pruned_folder(model: str, first: int, count: int) -> Path:
    """A model without so many of its layers from the first of them on; `model` names it and its very weights."""
    return inside(models_folder(), f"{model}-without-{first}-to-{first + count - 1}")


def pruned_folders(first: int, count: int) -> list[Path]:
    """Those models that are there without these layers."""
    return [file.parent for file in models_folder().glob(f"*-without-{first}-to-{first + count - 1}/left_out.json")]


def pruned_aside() -> Path:
    """Where such a model is written before it is renamed, by one at a time: the next takes away what a killed one has left."""
    return models_folder() / ".pruned"


def left_out_file(pruned: Path) -> Path:
    """Which layers it is without; written last, so its presence means the model is whole."""
    return pruned / "left_out.json"


def distances_file(model: str) -> Path:
    """How much each block of a model's layers changes what goes through it."""
    return inside(models_folder(), f"{model}-distances.json")


def pruning_lock() -> Path:
    """Held while a model is compared layer by layer, or written without some."""
    return models_folder() / ".pruning.lock"


def draft_file(name: str = "draft") -> Path:
    """The recipe being edited in the browser; on disk, so that it survives a reload."""
    return inside(home() / "drafts", f"{name}.yaml")


def engine_file() -> Path:
    """Process id and port of the chat engine. Its key is never written down."""
    return home() / "engine.json"


def engine_log() -> Path:
    return home() / "engine.log"


def inside(folder: Path, name: str) -> Path:
    """`folder/name` for a plain name; a name that would leave the folder raises HomeError."""
    plain = name not in ("", ".", "..") and not any(c in name for c in "/\\\0") and name.isprintable()
    if not plain or len(name.encode()) > 200:
        raise HomeError(
            f"{name!r} is not a usable name: use letters, digits, spaces, dots and dashes, without slashes."
        )
    return folder / name


def job_folder(job_id: str) -> Path:
    return inside(jobs_folder(), job_id)


@dataclass(frozen=True)
class JobFiles:
    """The files of one job folder, as the design lays them out."""

    folder: Path

    @cached_property
    def recipe(self) -> Path:
        return self.folder / "recipe.yaml"

    @cached_property
    def resolved(self) -> Path:
        return self.folder / "resolved.yaml"

    @cached_property
    def process(self) -> Path:
        return self.folder / "process.json"

    @cached_property
    def events(self) -> Path:
        return self.folder / "events.jsonl"

    @cached_property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @cached_property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @cached_property
    def result(self) -> Path:
        return self.folder / "result.json"

    @cached_property
    def about(self) -> Path:
        """What a person has written on it: name, tags, note."""
        return self.folder / "about.json"

    @cached_property
    def evaluation(self) -> Path:
        """What an evaluate job found."""
        return self.folder / "findings.json"

    def space_file(self, name: str) -> Path:
        """A file that a space job pushes."""
        return inside(self.folder, name)

    def found_in_space(self, name: str) -> Path:
        """What a space job found in the Space in place of its own file, where somebody had changed it."""
        return inside(self.folder / "found-in-space", name)

    @cached_property
    def ballast(self) -> Path:
        """A little room kept for the last words on a full disk."""
        return self.folder / ".ballast"

    @cached_property
    def lock(self) -> Path:
        """Held by the worker, so that a folder never has two."""
        return self.folder / ".lock"

    @cached_property
    def backup_lock(self) -> Path:
        """Held by the process that backs the run up, so that it never has two."""
        return self.folder / ".backup.lock"

    @cached_property
    def backup_aside(self) -> Path:
        """A checkpoint while it goes up: the training may delete its own."""
        return self.folder / ".backup"

    @cached_property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @cached_property
    def adapter(self) -> Path:
        """The final adapter with its model card."""
        return self.folder / "adapter"

    @cached_property
    def model(self) -> Path:
        """The final model with its card, where the whole model was trained."""
        return self.folder / "model"

    @cached_property
    def finals(self) -> tuple[Path, Path]:
        """Where the result of a training lies: one of the two."""
        return self.adapter, self.model

    @cached_property
    def final_aside(self) -> Path:
        """Where the result is written before it is renamed."""
        return self.scratch / "final"

    @cached_property
    def tensorboard(self) -> Path:
        """What TensorBoard shows of the run, where the recipe names it."""
        return self.folder / "tensorboard"

    @cached_property
    def scratch(self) -> Path:
        """What the trainer writes before it is published; never read by anyone else."""
        return self.folder / ".scratch"

    @cached_property
    def fetched(self) -> Path:
        """What a restore has of a backup while it is not whole."""
        return self.scratch / "backup"

    @cached_property
    def made(self) -> Path:
        """What an export or a publication has made of a run: an adapter, a merged model or both, or a GGUF file."""
        return self.folder / "made"

    def asked(self, kind: str) -> Path:
        """What a job about a run was asked."""
        return self.folder / ASKED[kind]

    def checkpoint(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:06d}"


def manifest_file(checkpoint: Path) -> Path:
    """Written last: no manifest, no checkpoint."""
    return checkpoint / "manifest.json"


def adapter_config(folder: Path) -> Path:
    """What PEFT writes beside an adapter's weights: without it a folder is none."""
    return folder / "adapter_config.json"


def reference_file(checkpoint: Path) -> Path:
    """First weights of what is trained, where the run on another machine could not make them again."""
    return checkpoint / "reference.safetensors"


def reporter_file(checkpoint: Path) -> Path:
    """Numbers that were in no report yet when the checkpoint was made."""
    return checkpoint / "reporter.json"


@dataclass(frozen=True)
class EncodedFiles:
    """The files of one data set as tokens, for one model and one way of reading."""

    folder: Path

    @property
    def rows(self) -> Path:
        """Tokens and labels of every row, as an Arrow stream."""
        return self.folder / "rows.arrow"

    @property
    def texts(self) -> Path:
        """Every row as the model reads it, with where its tokens end, as a compressed Arrow file."""
        return self.folder / "texts.arrow"

    @property
    def bands(self) -> Path:
        """Hashes of every row's MinHash, where near duplicates were looked for."""
        return self.folder / "bands.npy"

    @property
    def report(self) -> Path:
        """Counts; written last, so its presence means the rows are whole."""
        return self.folder / "report.json"


@dataclass(frozen=True)
class PreparedFiles:
    """The files of one prepared set: which rows of its encoded data sets are trained on. Rows are counted through all."""

    folder: Path

    @property
    def train(self) -> Path:
        """The numbers of the rows to train on, each as often as it is seen in an epoch."""
        return self.folder / "train.npy"

    @property
    def held_out(self) -> Path:
        """The numbers of the rows that are kept aside."""
        return self.folder / "held_out.npy"

    @property
    def fates(self) -> Path:
        """What became of every row, as a place in the report's `fates`."""
        return self.folder / "fates.npy"

    @property
    def report(self) -> Path:
        """Counts; written last, so its presence means the set is whole."""
        return self.folder / "report.json"


def encoded_folder() -> Path:
    return home() / "encoded"


def encoded_files(key: str) -> EncodedFiles:
    return EncodedFiles(inside(encoded_folder(), key))


def encoded_aside(key: str) -> EncodedFiles:
    """Where a data set is encoded before it is renamed; each process has its own place."""
    return EncodedFiles(inside(encoded_folder(), f".{key}-{os.getpid()}"))


def prepared_files(key: str) -> PreparedFiles:
    return PreparedFiles(inside(prepared_folder(), key))


def prepared_aside(key: str) -> PreparedFiles:
    """Where a set is made before it is renamed; each process has its own place."""
    return PreparedFiles(inside(prepared_folder(), f".{key}-{os.getpid()}"))
