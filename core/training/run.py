"""The train job: prepared data, a base model with a LoRA adapter, TRL's SFTTrainer, checkpoints, the final adapter."""

import json
import platform
import shutil
from importlib.metadata import version
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

from core import home
from core.data.prepare import find_model, prepare
from core.data.tokens import IGNORED
from core.errors import ModelError
from core.jobs.worker import Worker
from core.models.load import load_base, load_tokenizer
from core.recipe import Recipe
from core.training import card, cpu_loss
from core.training.callbacks import Publisher, Reporter, Stopper
from core.training.device import Device, choose_device, set_up
from core.training.model import make_portable, with_adapter
from core.training.plan import eval_every, total_steps

LIBRARIES = ("torch", "transformers", "peft", "trl", "datasets", "accelerate", "tokenizers")
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


class Trainer(SFTTrainer):
    """TRL's trainer, which also counts the tokens that carry a label, and computes the loss lazily on a CPU."""

    reporter: Reporter
    lazy_loss: bool = False

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if self.lazy_loss and not return_outputs:
            return cpu_loss.loss_at_labels(model.get_base_model(), inputs, num_items_in_batch)
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def training_step(self, model: Any, inputs: dict[str, Any], *more: Any, **named: Any) -> torch.Tensor:
        self.reporter.supervised_tokens += int((inputs["labels"] != IGNORED).sum())
        return super().training_step(model, inputs, *more, **named)


def run(worker: Worker) -> None:
    """Do the whole job; raises StudioError with a sentence for the person."""
    recipe = worker.job.recipe
    device = choose_device(recipe.training)
    set_up(device)
    found = find_model(worker)
    report, files = prepare(worker, found)
    worker.progress("Loading the model", 0, 1)
    tokenizer = load_tokenizer(found, recipe.model.chat_template)
    model = with_adapter(load_base(found, device.weights_dtype, device.kind), recipe)
    steps = total_steps(recipe, report["rows"])
    _resolve(worker, device, steps, model.get_nb_trainable_parameters()[0])
    trainer = _trainer(worker, device, model, tokenizer, _data(files, report), steps)
    # From here on a stop may not cut anything short: the step is finished, and what was learned is saved.
    with worker.finishing_the_step():
        _train(worker, trainer)
        _finish(worker, trainer, tokenizer, report)


def _data(files: home.PreparedFiles, report: dict[str, Any]) -> tuple[Dataset, Dataset | None]:
    """The training rows and the held-out rows of a prepared set."""
    rows = Dataset.from_file(str(files.rows)).select_columns(["input_ids", "labels"])
    held_out = json.loads(files.held_out.read_text())
    aside = set(held_out)
    train = rows.select([index for index in range(len(rows)) if index not in aside])
    return train, rows.select(held_out) if held_out else None


def versions() -> dict[str, str]:
    """The libraries that shape the numbers."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def _resolve(worker: Worker, device: Device, steps: int, trainable: int) -> None:
    worker.resolve(
        device={"kind": device.kind, "name": device.name, "threads": torch.get_num_threads()},
        precision={"name": device.precision, "reason": device.reason},
        activation_checkpointing=_recomputes(worker.job.recipe, device),
        trainable_parameters=trainable,
        versions=versions(),
    )
    worker.event("training", total_steps=steps, device=device.name, precision=device.precision)


def _recomputes(recipe: Recipe, device: Device) -> bool:
    asked = recipe.training.activation_checkpointing
    return device.kind == "cuda" if asked == "auto" else asked == "on"


def _settings(worker: Worker, device: Device, steps: int, evaluates: bool) -> SFTConfig:
    """The recipe in the trainer's words."""
    recipe = worker.job.recipe
    training = recipe.training
    recomputes = _recomputes(recipe, device)
    return SFTConfig(
        output_dir=str(worker.files.scratch),
        max_steps=steps,
        per_device_train_batch_size=training.batch,
        per_device_eval_batch_size=training.batch,
        gradient_accumulation_steps=training.accumulation,
        learning_rate=training.learning_rate,
        lr_scheduler_type=SCHEDULES[training.schedule],
        warmup_steps=training.warmup,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        bf16=device.precision == "bf16",
        fp16=device.precision == "fp16",
        use_cpu=device.kind == "cpu",
        activation_checkpointing=recomputes,
        gradient_checkpointing=recomputes,
        seed=training.seed,
        data_seed=training.seed,
        logging_steps=training.log_every,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if evaluates else "no",
        eval_steps=eval_every(recipe, steps) if evaluates else None,
        eval_on_start=evaluates,
        save_strategy="steps",
        save_steps=recipe.checkpoints.every_steps,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        disable_tqdm=True,
        report_to=[],
    )


def _trainer(
    worker: Worker,
    device: Device,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    data: tuple[Dataset, Dataset | None],
    steps: int,
) -> Trainer:
    train, held_out = data
    reporter = Reporter(worker, device)
    trainer = Trainer(
        model=model,
        args=_settings(worker, device, steps, held_out is not None),
        train_dataset=train,
        eval_dataset=held_out,
        processing_class=tokenizer,
        callbacks=[reporter, Stopper(worker), Publisher(worker, worker.job.recipe.checkpoints.keep, versions())],
    )
    trainer.reporter = reporter
    trainer.lazy_loss = device.kind == "cpu" and cpu_loss.applies_to(model.get_base_model())
    worker.resolve(loss="at labels only (CPU)" if trainer.lazy_loss else "TRL's, at every position")
    return trainer


def _train(worker: Worker, trainer: Trainer) -> None:
    worker.phase("running")
    try:
        trainer.train()
    except torch.OutOfMemoryError:
        batch = worker.job.recipe.training.batch
        raise ModelError(
            f"The GPU ran out of memory at step {trainer.state.global_step + 1}. "
            + (f"A batch of {batch // 2} with twice the accumulation trains the same. " if batch > 1 else "")
            + "Fewer max tokens or activation checkpointing save memory as well."
        ) from None
    finally:
        shutil.rmtree(worker.files.scratch, ignore_errors=True)


def _finish(worker: Worker, trainer: Trainer, tokenizer: PreTrainedTokenizerBase, report: dict[str, Any]) -> None:
    """Write the adapter with its card, then the result."""
    step, total = trainer.state.global_step, trainer.state.max_steps
    facts = {"steps": step, "held_out_loss": worker.job.metrics.last_held_out_loss, "rows": report["rows"]}
    aside = worker.files.scratch
    trainer.model.save_pretrained(aside)
    tokenizer.save_pretrained(aside)
    make_portable(aside, worker.job.recipe)
    card.write(aside, worker.job, facts)
    # Renamed when it is whole, so a half-written adapter is never offered.
    aside.replace(worker.files.adapter)
    if step < total:
        worker.finish(
            "stopped", f"Stopped after step {step:,} of {total:,}. The checkpoint of step {step:,} is saved.", step=step
        )
    else:
        worker.finish("finished", f"Trained {step:,} steps on {report['rows']:,} rows.", step=step)
