"""TRL's trainer, set up as the recipe asks: it counts supervised tokens, and its checkpoints become the job's."""

import json
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from peft.optimizers import create_loraplus_optimizer
from torch import distributed
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_pt_utils import LabelSmoother
from trl import SFTConfig, SFTTrainer

from core import home
from core.files import read_json
from core.models.give_back import give_back
from core.plan.plan import eval_every
from core.recipe import Recipe
from core.training import checkpoints, cpu_loss, documents, gated, held_out, pairs, schedules, short_lora, trackers
from core.training.best import HeldOutJudge
from core.training.callbacks import EvaluationCut, MinuteSaver, Reporter, Stopper
from core.training.gauge import Gauge
from core.training.heap import Blocks, keep_blocks
from core.training.kept_inputs import KeptInputs, bytes_of_a_token
from core.training.methods import METHODS
from core.training.model import base_of, make_portable
from core.training.preferences import Preferences
from core.training.session import Session
from core.training.speed import Speed, choose

OPTIMIZERS = {
    "auto": "adamw_torch_fused",
    "adamw": "adamw_torch",
    "adamw_8bit": "adamw_bnb_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "adafactor": "adafactor",
    "sgd": "sgd",
}
# Never reached: `save_steps` has no word for "only at the end".
NEVER = 10**12


class Trainer(SFTTrainer):
    """An SFTTrainer that speaks through a `Reporter`, publishes what it saves, and computes what it has to only."""

    session: Session
    reporter: Reporter
    judge: HeldOutJudge
    gauge: Gauge
    speed: Speed
    blocks: Blocks
    kept_inputs: KeptInputs | None = None
    preferences: Preferences | None = None

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        self.blocks.for_a_batch(tuple(inputs["input_ids"].shape))
        if self.preferences:
            return self.preferences.loss(model, inputs, num_items_in_batch)
        # Only what is trained on is smoothed: held-out losses stay comparable.
        smoothing = self.session.job.recipe.training.label_smoothing if model.training else 0.0
        if self.speed.at_labels and not return_outputs:
            with self.keeping(inputs):
                return cpu_loss.loss_at_labels(base_of(model), inputs, num_items_in_batch, smoothing)
        # Not through the trainer's settings: there it would smooth the held-out loss too.
        self.label_smoother = LabelSmoother(smoothing) if smoothing else None
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def keeping(self, inputs: dict[str, Any]) -> AbstractContextManager[None]:
        """While a batch goes forwards."""
        return self.kept_inputs.apart(inputs["input_ids"].numel()) if self.kept_inputs else nullcontext()

    def get_batch_samples(self, *args: Any, **named: Any) -> tuple[list, Any]:
        batches, items = super().get_batch_samples(*args, **named)
        self.gauge.see(batches)
        self.reporter.supervised_tokens += int(items) if items is not None else 0
        return batches, (sum(map(pairs.conversations, batches)) // 2 if self.preferences else items)

    def _set_signature_columns_if_needed(self) -> None:
        """The dataset's columns that are kept: of pairs also where the second conversation begins."""
        super()._set_signature_columns_if_needed()
        if "second" not in self._signature_columns:
            self._signature_columns.append("second")

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Nobody reads it, and counting goes through every module at every batch."""
        return 0

    def evaluate(self, *args: Any, **named: Any) -> dict[str, float]:
        """The held-out loss, also of each data set; told to the callbacks as transformers' own would be."""
        try:
            # A measurement draws no random number from the training: cut short or not, the next step is the same.
            with torch.random.fork_rng():
                found = held_out.measure(self, self._after_a_batch)
        except EvaluationCut:
            Stopper.after_the_cut(self.reporter.first_step, self.state, self.control)
            return {}
        self.log({"eval_loss": found.loss})
        measured = {"eval_loss": found.loss, "sources": found.of_each}
        measured |= {"preferred": found.preferred, "answers": found.answers}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, measured)
        return measured

    def _after_a_batch(self) -> None:
        self.control = self.callback_handler.on_prediction_step(self.args, self.state, self.control)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The recipe's optimiser; for LoRA+ with its groups, of which the second matrices learn faster."""
        lora = self.session.job.recipe.lora
        if self.optimizer is None and METHODS[lora.method].faster_b:
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            self.optimizer = create_loraplus_optimizer(
                self.accelerator.unwrap_model(self.model),
                kind,
                loraplus_lr_ratio=lora.plus_ratio,
                loraplus_weight_decay=self.args.weight_decay,
                **settings,
            )
        return super().create_optimizer(model)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """PiSSA's adapter was put in place with its base (`pissa.begin`); the one in the folder has twice its rank."""
        if METHODS[self.session.job.recipe.lora.method].begins != "pissa":
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def create_model_card(self, *given: Any, **named: Any) -> None:
        """None beside each checkpoint: the result gets one of its own, made of facts."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Let the libraries write it aside, then publish it; none is made of a model that has come to no number."""
        if not _finite(model):
            self.reporter.divergence.broken(self.state.global_step)
        if self.reporter.divergence.without_a_number:
            return
        job, step = self.session.job, self.state.global_step
        written = Path(self.args.output_dir) / f"checkpoint-{step}"
        if self.is_world_process_zero():
            checkpoints.check_space(job)
        with checkpoints.full_disk_in_words(job):
            super()._save_checkpoint(model, trial)
            _together()
            if self.is_world_process_zero():
                home.reporter_file(written).write_text(json.dumps(self.reporter.saved()))
                make_portable(written, job.recipe, self.accelerator.unwrap_model(self.model))
                if self.preferences:
                    self.preferences.save(written)
                size = checkpoints.publish(written, job, step, self.session.made())
                self.session.worker.event("checkpoint", step=step, size_bytes=size)
                checkpoints.prune(job, job.recipe.checkpoints.keep, self.reporter.divergence.since)
        _together()


def _finite(model: torch.nn.Module) -> bool:
    """Whether every weight that is trained is a number; a step may break them before the next loss shows it."""
    return all(bool(weights.isfinite().all()) for weights in model.parameters() if weights.requires_grad)


def build(session: Session, model: Any, tokenizer: PreTrainedTokenizerBase) -> Trainer:
    """The trainer of a session, ready for `train(resume_from_checkpoint=…)`."""
    recipe, worker = session.job.recipe, session.worker
    checkpoint = session.point.checkpoint
    saved = (read_json(home.reporter_file(checkpoint.folder)) if checkpoint else None) or {}
    reporter = Reporter(worker, session.device, recipe.training.log_every, saved)
    judge = HeldOutJudge(session.job, recipe.training.early_stopping, recipe.training.load_best)
    gauge = Gauge(session)
    callbacks = [reporter, judge, gauge, Stopper(session.stop_asked)]
    if recipe.checkpoints.every_minutes:
        callbacks.append(MinuteSaver(recipe.checkpoints.every_minutes))
    chosen = _speed(session, base_of(model))
    trainer = Trainer(
        model=model,
        args=_settings(session, chosen),
        train_dataset=session.train,
        eval_dataset=session.held_out,
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    trainer.session, trainer.reporter, trainer.judge = session, reporter, judge
    trainer.gauge, trainer.speed, trainer.blocks = gauge, chosen, Blocks()
    if session.micro.recomputes and session.device.kind == "cpu":
        trainer.kept_inputs = KeptInputs(bytes_of_a_token(base_of(model).config))
    # TRL makes the adapter on a quantised model bf16, PEFT loads it as fp32: a resumed run would not be the same.
    for weights in model.parameters():
        weights.data = weights.data.float() if weights.requires_grad else weights.data
    if recipe.objective.pairs:
        trainer.data_collator = pairs.PairCollator(trainer.data_collator)
        trainer.preferences = Preferences(trainer)
        trainer.loss_is_scaled_for_ga = True
    # Loading has left holes that no batch would fit into.
    give_back()
    keep_blocks()
    return trainer


def _speed(session: Session, base: PreTrainedModel) -> Speed:
    """What was chosen for the device, less what this model cannot do; all of it goes into `resolved.yaml`."""
    recipe, worker, device = session.job.recipe, session.worker, session.device
    chosen = choose(recipe, device.place(int(os.environ.get("WORLD_SIZE", "1"))))
    if chosen.at_labels and not cpu_loss.applies_to(base):
        chosen = chosen.without("loss", "The model changes its logits after the output layer.")
    if why := _without_side_by_side(base, chosen, recipe.data.max_length):
        chosen = chosen.without("rows", f"Conversations cannot lie side by side in this model: {why}.")
        if not recipe.data.packs:
            worker.warning(f"{chosen.rows.reason} They are padded to the longest of their batch, which is slower.")
    if chosen.short_adapter and not short_lora.use_in(base):
        method = METHODS[recipe.lora.method].title
        chosen = chosen.without("adapter", f"PEFT's own: {method} on this model has no plain LoRA on a plain layer.")
    if chosen.keeps_short and not gated.use_in(base):
        chosen = chosen.without("kept", "PyTorch's own: the model has no gated part of full weights with SiLU.")
    worker.resolve(speed=chosen.as_dict())
    return chosen


def _without_side_by_side(base: PreTrainedModel, chosen: Speed, longest: int) -> str | None:
    """Give the model the attention that was chosen; or say why it cannot have it."""
    if chosen.attention.name == documents.CHOICE:
        return documents.use_in(base, longest)
    if chosen.side_by_side:
        try:
            base.set_attn_implementation(chosen.attention.name)
        except (ImportError, ValueError) as error:
            return str(error).split("\n")[0][:200]
    return None


def _settings(session: Session, chosen: Speed) -> SFTConfig:
    """The recipe in the trainer's words."""
    recipe, device, micro = session.job.recipe, session.device, session.micro
    training = recipe.training
    return SFTConfig(
        output_dir=str(session.worker.files.scratch),
        max_steps=session.steps,
        per_device_train_batch_size=micro.batch,
        per_device_eval_batch_size=micro.batch,
        gradient_accumulation_steps=micro.accumulation,
        learning_rate=training.learning_rate,
        lr_scheduler_type=schedules.SCHEDULES[training.schedule],
        lr_scheduler_kwargs=schedules.settings(training, session.steps),
        warmup_steps=schedules.warmup_steps(training, session.steps),
        optim=OPTIMIZERS[training.optimizer],
        use_liger_kernel=chosen.kernels.name == "liger",
        neftune_noise_alpha=training.neftune,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        bf16=device.precision == "bf16",
        fp16=device.precision == "fp16",
        use_cpu=device.kind == "cpu",
        activation_checkpointing=micro.recomputes,
        gradient_checkpointing=micro.recomputes,
        train_sampling_strategy="sequential" if session.job.kind == "probe" else "random",
        seed=training.seed,
        data_seed=training.seed,
        # Every step, so that a run that is not finite is noticed; the reporter writes every `log_every` of them.
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        **trackers.settings(session.job),
        **_evaluation(session),
        **_saving(recipe),
        **_rows(recipe, chosen),
    )


def _evaluation(session: Session) -> dict[str, Any]:
    if session.held_out is None:
        return {"eval_strategy": "no"}
    every = eval_every(session.job.recipe, session.steps)
    # At the start, and after a resume only where the measurement of that very step was cut short.
    due = session.point.step % every == 0 and session.point.step not in session.job.metrics.held_out_at
    return {"eval_strategy": "steps", "eval_steps": every, "eval_on_start": due}


def _saving(recipe: Recipe) -> dict[str, Any]:
    return {"save_strategy": "steps", "save_steps": recipe.checkpoints.every_steps or NEVER}


def _rows(recipe: Recipe, chosen: Speed) -> dict[str, Any]:
    """The rows are tokens and labels already, and packed already where they are to be."""
    ready = {"dataset_kwargs": {"skip_prepare_dataset": True}}
    if recipe.data.packs:
        return ready | {"packing": True, "packing_strategy": "bfd", "max_length": recipe.data.max_length}
    return ready | {"padding_free": chosen.side_by_side, "max_length": None}


def _together() -> None:
    if distributed.is_initialized():
        distributed.barrier()
