"""When a loss has left for good: it is no number, or far above where it began, for several steps in a row.

Of pairs it is the loss of the chosen answers that is looked at, in nats a token: their own loss knows differences alone, and
two answers that become unlikely together leave it where it was.
"""

import math

from core.jobs.folder import Job
from core.recipe import Recipe
from core.training.methods import METHODS

# So many steps in a row without a number do not recover.
WITHOUT_A_NUMBER = 3
# So many steps in a row this far above the beginning are no hard batches, even where a step is one conversation.
FAR_STEPS, FAR_NATS = 5, 2.0


class Divergence:
    """Looks at the loss of every step; `since` is the first step of those in a row that were bad.

    The beginning is the first step's loss, or the held-out loss before it where that is higher. Of pairs it is in no line of
    the metrics, so a checkpoint brings it along as `saved`.
    """

    def __init__(self, job: Job, saved: float | None = None):
        self.job, self.pairs = job, job.recipe.objective.pairs
        self.beginning = saved if self.pairs else _first_loss(job)
        self.since: int | None = None
        self.loss = math.nan

    def measured(self, step: int, held_out_loss: float) -> None:
        """Before the first step it is the base model's."""
        if step == 0 and math.isfinite(held_out_loss):
            self.beginning = max(held_out_loss, self.beginning or held_out_loss)

    def hopeless(self, step: int, loss: float) -> bool:
        """Whether it has been bad for so long, this step included, that it will not come back."""
        self.loss = loss
        if self.beginning is None and math.isfinite(loss):
            self.beginning = loss
        if not self._bad(loss):
            self.since = None
            return False
        self.since = self.since or step
        longest = FAR_STEPS if math.isfinite(loss) else WITHOUT_A_NUMBER
        return step - self.since + 1 >= longest

    def broken(self, step: int) -> None:
        """The weights themselves are no numbers."""
        self.since, self.loss = self.since or step, math.nan

    @property
    def without_a_number(self) -> bool:
        """Whether loss or weights are no numbers now: what would be saved is of no use."""
        return self.since is not None and not math.isfinite(self.loss)

    def _bad(self, loss: float) -> bool:
        return not math.isfinite(loss) or loss > self.beginning + FAR_NATS

    def sentence(self) -> str:
        """What happened, which checkpoint is good, and what to try."""
        return f"{self._what()} {_good_checkpoint(self.job, self.since)}{_advice(self.job.recipe)}"

    def _what(self) -> str:
        if math.isfinite(self.loss):
            which = "loss of the chosen answers" if self.pairs else "loss"
            return (
                f"The {which} diverged at step {self.since:,}: it went from {self.beginning:.2f} to {self.loss:,.2f} and did not "
                "come back, so the run was stopped."
            )
        return f"The loss diverged at step {self.since:,}: loss or weights are infinite or no number, so the run was stopped."


def _first_loss(job: Job) -> float | None:
    losses, measured = job.metrics["loss"], job.metrics.held_out_at
    known = [*losses[:1], *([measured[0]] if 0 in measured else [])]
    return max((loss for loss in known if math.isfinite(loss)), default=None)


def _good_checkpoint(job: Job, since: int) -> str:
    before = [checkpoint.step for checkpoint in job.checkpoints if checkpoint.step < since]
    return f"The checkpoint of step {before[-1]:,} is from before that, and good. " if before else ""


def _advice(recipe: Recipe) -> str:
    rate = recipe.training.learning_rate
    return (
        f"The learning rate of {rate:g} is most likely too high: start a new run from this one with "
        f"training.learning_rate {rate_to_try(recipe):g}, or with a longer warm-up."
    )


def rate_to_try(recipe: Recipe) -> float:
    """A usual rate of the objective and method, or a fifth of the one that failed where that is lower."""
    training, whole = recipe.training, METHODS[recipe.lora.method].whole
    usual = 2e-5 if whole else type(training).model_fields["learning_rate"].default
    usual = recipe.objective.usual_rate(whole) or usual
    highest = training.learning_rate / 5
    return highest if training.optimizer == "sgd" else min(usual, highest)
