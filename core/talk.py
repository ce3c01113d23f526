"""Chat in the terminal, with the same engine that the chat page uses."""

import sys

from core.errors import EngineError, JobError, StudioError
from core.inference import process
from core.inference.choices import target_of
from core.inference.client import Sampling, stream
from core.jobs.listing import find_job
from core.where import Place, place_of


def model_id(name: str, checkpoint: int | None) -> str:
    """The engine's id for a job (by id or run name), one of its checkpoints, or a base model; raises JobError."""
    try:
        job = find_job(name)
    except JobError:
        if checkpoint is None and place_of(name) is not Place.UNKNOWN:
            return name
        raise
    found = job.id if checkpoint is None else f"{job.id}@{checkpoint}"
    if target_of(found) is None:
        steps = ", ".join(f"{c.step:,}" for c in job.checkpoints) or "none"
        raise JobError(
            f"{job.name} has no {'adapter yet' if checkpoint is None else f'checkpoint {checkpoint}'}. Its checkpoints: {steps}."
        )
    return found


def talk(model: str, prompt: str | None, temperature: float, max_tokens: int) -> None:
    """Answer one prompt, or converse until the input ends; raises EngineError."""
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    try:
        if prompt is not None:
            _answer(model, [{"role": "user", "content": prompt}], sampling)
        else:
            _converse(model, sampling)
    finally:
        process.stop()


def _converse(model: str, sampling: Sampling) -> None:
    messages: list[dict[str, str]] = []
    print(f"Talking with {model}. An empty line or Ctrl-D ends it.", file=sys.stderr)
    while question := _question():
        messages.append({"role": "user", "content": question})
        try:
            messages.append({"role": "assistant", "content": _answer(model, messages, sampling)})
        except StudioError as error:
            messages.pop()
            print(error, file=sys.stderr)


def _question() -> str:
    try:
        return input("> " if sys.stdin.isatty() else "")
    except (EOFError, KeyboardInterrupt):
        return ""


def _answer(model: str, messages: list[dict[str, str]], sampling: Sampling) -> str:
    """Print the answer as it comes; Ctrl-C ends this answer only."""
    answer = stream(process.engine(), model, messages, sampling)
    said = []
    try:
        for piece in answer:
            said.append(piece)
            print(piece, end="", flush=True)
    except KeyboardInterrupt:
        answer.close()
    print()
    if not said:
        raise EngineError("The model said nothing.")
    return "".join(said)
