"""Chat in the terminal, with the same engine that the chat page uses."""

import sys

from core.errors import EngineError, JobError, StudioError
from core.inference import process
from core.inference.adapters import resolved
from core.inference.choices import run_of, target_of
from core.inference.client import Bits, Sampling, Stats, compare, stream
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


def other_id(name: str, beside: str) -> str:
    """As `model_id`; `base` is what the model beside it was trained from, RUN@STEP a checkpoint.

    Looks at the Hub for the base of an adapter there; raises ModelError as well.
    """
    if name == "base":
        return _base_of(beside)
    run, _, step = name.rpartition("@")
    return model_id(run, int(step)) if run and step.isdecimal() else model_id(name, None)


def _base_of(model: str) -> str:
    """What a model was made from: never its own weights, which a run that trained all of them would answer with."""
    if run := run_of(model):
        return run.recipe.model.source
    target = target_of(model)
    return resolved(target).source if target else model


def talk(model: str, prompt: str | None, sampling: Sampling, bits: Bits) -> None:
    """Answer one prompt, or converse until the input ends; raises EngineError."""
    try:
        if prompt is not None:
            _answer(model, [{"role": "user", "content": prompt}], sampling, bits)
        else:
            _converse(model, sampling, bits)
    finally:
        process.stop_own()


def side_by_side(models: list[str], prompt: str | None, sampling: Sampling, bits: Bits) -> None:
    """Let several models answer one prompt, or each line of the input, for itself; raises EngineError."""
    try:
        if prompt is not None:
            _print_answers(models, prompt, sampling, bits)
            return
        print("Every question stands alone. An empty line or Ctrl-D ends it.", file=sys.stderr)
        while question := _question():
            _print_answers(models, question, sampling, bits)
    finally:
        process.stop_own()


def _print_answers(models: list[str], question: str, sampling: Sampling, bits: Bits) -> None:
    asked = [{"role": "user", "content": question}]
    answers = compare(process.engine(), models, asked, sampling, bits=bits)
    said = ["" for _ in models]
    for index, text in answers:
        said[index] += text
    for model, text, stats, error in zip(models, said, answers.all_stats, answers.errors, strict=True):
        print(f"=== {model}\n{text}\n", flush=True)
        _say_if_cut(stats)
        if error:
            print(error, file=sys.stderr)
    if not any(said):
        raise EngineError("None of the models said anything.")


def _converse(model: str, sampling: Sampling, bits: Bits) -> None:
    messages: list[dict[str, str]] = []
    print(f"Talking with {model}. An empty line or Ctrl-D ends it.", file=sys.stderr)
    while question := _question():
        messages.append({"role": "user", "content": question})
        try:
            messages.append({"role": "assistant", "content": _answer(model, messages, sampling, bits)})
        except StudioError as error:
            messages.pop()
            print(error, file=sys.stderr)


def _question() -> str:
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except (EOFError, KeyboardInterrupt):
        return ""


def _answer(model: str, messages: list[dict[str, str]], sampling: Sampling, bits: Bits) -> str:
    """Print the answer as it comes; Ctrl-C ends this answer only."""
    answer = stream(process.engine(), model, messages, sampling, bits)
    said = ""
    try:
        for piece in answer:
            said += piece
            print(piece, end="", flush=True)
    except KeyboardInterrupt:
        answer.close()
    print()
    if not said:  # signs of life are no words
        raise EngineError("The model said nothing.")
    _say_if_cut(answer.stats)
    return said


def _say_if_cut(stats: Stats) -> None:
    """To the person, not into the answer: a program may read that."""
    if stats.finish_reason == "length":
        room = "--max-tokens, or the model's context, allows no more"
        print(f"Cut after {stats.tokens:,} tokens: {room}.", file=sys.stderr)
