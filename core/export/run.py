"""The export job: the adapter as a zip, the merged model or a GGUF file in a folder, each with card and recipe."""

import shutil
import zipfile
from pathlib import Path

from core.export.asked import Export
from core.export.made import made_by
from core.export.make import Maker
from core.export.names import file_name
from core.export.size import check_disk, folder_bytes
from core.hub.about import about_files
from core.hub.card_contents import HERE
from core.jobs.asked import read
from core.jobs.worker import Worker


def run(worker: Worker) -> None:
    """Do the whole job; raises StudioError with a sentence for the person."""
    maker = Maker(worker, read(worker.job, Export))
    maker.make()
    for part in maker.parts:
        for name, contents in about_files(maker, HERE, (part,)).items():
            (maker.folder(part) / name).write_bytes(contents)
    if "adapter" in maker.parts:
        _pack(maker)
    said = made_by(worker.job).sentences()
    if "adapter" in maker.parts and maker.facts.base is None:
        said.append(f"The adapter needs its base model beside it, which is the folder {maker.run.recipe.model.source}.")
    worker.finish("finished", " ".join(said))


def _pack(maker: Maker) -> None:
    """One archive of one folder, written aside and renamed; weights do not get smaller by compressing them."""
    folder, scratch = maker.folder("adapter"), maker.worker.files.scratch
    check_disk(folder_bytes(folder), "the archive")
    top = f"{file_name(maker.run)}-step-{maker.facts.steps}"
    scratch.mkdir(exist_ok=True)
    aside = scratch / f"{top}.zip"
    with zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, Path(top) / file.relative_to(folder))
    aside.rename(maker.worker.files.made / aside.name)
    shutil.rmtree(folder)
    shutil.rmtree(scratch)
