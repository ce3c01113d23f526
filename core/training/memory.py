"""When the memory is too small: notice it, remember it for the next plan, and try the same step in smaller pieces."""

import sys
from dataclasses import replace

from core.errors import ModelError
from core.models.give_back import give_back
from core.plan import measured
from core.plan.workload import assumed
from core.training import peak, resume
from core.training.measurement import measurement
from core.training.micro_batch import MicroBatch
from core.training.session import Session


def let_go() -> None:
    """Give back what an attempt has held; bitsandbytes' optimisers remember embeddings, also those of a model that is gone."""
    if "bitsandbytes" in sys.modules:
        from bitsandbytes.optim import GlobalOptimManager

        GlobalOptimManager.get_instance().initialize()
    give_back()


def _cut(session: Session) -> MicroBatch | None:
    open_to_us = session.job.recipe.training.activation_checkpointing == "auto"
    return session.micro.smaller(again_first=open_to_us and session.device.kind == "cuda")


def smaller(session: Session) -> Session:
    """The next attempt: fewer conversations at once, as many in a step, from the last checkpoint; raises ModelError."""
    worker, step, micro = session.worker, session.job.metrics.step + 1, _cut(session)
    if micro is None:
        one = "pair of answers" if session.job.recipe.objective.pairs else "conversation"
        raise ModelError(
            f"The memory is too small even for one {one} at a time (at step {step:,}). Lower data.max_length or "
            "lora.rank, choose lora.method qlora, or a smaller model."
        )
    said = {"batch": micro.batch, "accumulation": micro.accumulation, "recomputes": micro.recomputes}
    worker.event("out_of_memory", step=step, **said)
    point = resume.point_of(session.job)
    resume.go_back(worker, point)
    return replace(session, micro=micro, point=point)


def remember(session: Session) -> None:
    """That an attempt, which is over, did not fit into what the device had; of the RAM nobody knows how much that was."""
    if session.device.kind != "cuda":
        return
    batches = assumed(session.micro.as_recipe(session.job.recipe))
    found = {"largest": batches.largest, "usual": batches.usual, "peak_bytes": peak.room_bytes(), "step_s": None}
    measured.keep(measurement(session, "run that did not fit", **found))
