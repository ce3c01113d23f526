"""A GGUF file of a merged model, compared with it where there is memory for that."""

from pathlib import Path

from core.export.gguf.check import compare
from core.export.gguf.tensors import Model
from core.export.gguf.write import write_gguf
from core.export.size import lack_of_memory
from core.jobs.worker import Worker


def make_gguf(model: Model, name: str, file: Path, worker: Worker) -> None:
    """Write it; raises ModelError where llama.cpp has no place for a weight, or the file says something else."""
    write_gguf(model, name, file, worker.progress)
    # transformers reads such a file in fp32, which is twice what merging takes.
    if lack := lack_of_memory(model.found.folder, "fp32"):
        worker.warning(f"The GGUF file was not compared with the merged model: that {lack}")
        return
    worker.progress("Checking the GGUF file", 0, 1)
    found = compare(model.found, file, model.precision)
    worker.event("gguf", precision=model.precision, apart=found.apart, same_answer=found.same_answer)
