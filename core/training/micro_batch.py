"""How a step is cut into pieces that fit into memory: the rows of a step stay the same, only fewer at a time."""

from dataclasses import dataclass

from core.hardware import Machine
from core.jobs.folder import Job
from core.plan.settled import recomputes
from core.recipe import Recipe


@dataclass(frozen=True)
class MicroBatch:
    """Conversations, or pairs of them, at once, how many such batches make a step, and whether activations are computed again."""

    batch: int
    accumulation: int
    recomputes: bool

    def smaller(self, again_first: bool = False) -> "MicroBatch | None":
        """Half as many at once (or the next that divides them), then activations computed again; None if all is tried.

        `again_first` computes them again before anything else: so a GPU still has a whole batch to work on.
        """
        if again_first and not self.recomputes:
            return MicroBatch(self.batch, self.accumulation, True)
        if self.batch > 1:
            batch = max(size for size in range(1, self.batch // 2 + 1) if self.batch % size == 0)
            return MicroBatch(batch, self.accumulation * self.batch // batch, self.recomputes)
        return None if self.recomputes else MicroBatch(1, self.accumulation, True)

    def as_recipe(self, recipe: Recipe) -> Recipe:
        """The recipe that asks for what is really done."""
        again = "on" if self.recomputes else "off"
        done = {"batch": self.batch, "accumulation": self.accumulation, "activation_checkpointing": again}
        return recipe.model_copy(update={"training": recipe.training.model_copy(update=done)})


def micro_batch(job: Job, machine: Machine) -> MicroBatch:
    """What the recipe asks for on a machine, or what was found to fit since."""
    training, again = job.recipe.training, recomputes(job.recipe, machine)
    asked = MicroBatch(training.batch, training.accumulation, again)
    found = next((event for event in reversed(job.events) if event["event"] == "out_of_memory"), None)
    return MicroBatch(found["batch"], found["accumulation"], found["recomputes"]) if found else asked
