"""Make what an export or a publication is asked for, each part whole or not there at all, so that an interrupted one goes on."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transformers import GenerationConfig, PreTrainedTokenizerBase

from core.data.prepare import find_model
from core.errors import ModelError
from core.export import size
from core.export.adapter import write_adapter
from core.export.asked import NOTHING, Export, parts, precision_of_gguf, precision_of_merged
from core.export.gguf.make import make_gguf
from core.export.gguf.tensors import Model
from core.export.gguf.write import check_known
from core.export.merge import Ingredients, precision_to_write, write_merged
from core.export.names import MODELFILE, gguf_name
from core.export.ollama import modelfile
from core.files import remove_whole, whole_folder
from core.hub import base_card
from core.hub.facts import Facts
from core.inference.prompt import ends_of
from core.jobs.errand import run_of
from core.jobs.folder import Job
from core.jobs.outcome import folder_of
from core.jobs.worker import Worker
from core.models import crowd
from core.models.load import Found, load_tokenizer
from core.training.methods import METHODS


@dataclass(frozen=True)
class Maker:
    """Makes the parts of one job in its folder."""

    worker: Worker
    asked: Export

    @cached_property
    def run(self) -> Job:
        return run_of(self.asked)

    @cached_property
    def source(self) -> Path:
        """The run's own adapter or model."""
        return folder_of(self.run, self.asked.step, NOTHING)

    @property
    def whole(self) -> bool:
        """Whether the training made a model rather than an adapter."""
        return METHODS[self.run.recipe.lora.method].whole

    @property
    def parts(self) -> tuple[str, ...]:
        return parts(self.asked, self.run.recipe)

    @cached_property
    def base(self) -> Found:
        """The base at the revision it was trained at; its weights only where they are needed."""
        weights = self.parts != ("adapter",) and not self.whole
        return find_model(self.worker, self.run, weights)

    @property
    def weights(self) -> Found:
        """The whole model that is written: what was trained, or what its adapter is merged into."""
        return Found(self.source, None, code=self.base.code) if self.whole else self.base

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(self.base, self.run.recipe.model.chat_template)

    @cached_property
    def facts(self) -> Facts:
        return Facts.of(self.run, self.asked.step, base_card.licence(self.run.recipe.model.source, self.base))

    @cached_property
    def precision(self) -> str:
        """Of the merged model; raises ModelError for a quantised base."""
        return precision_to_write(self.base, precision_of_merged(self.asked))

    @property
    def precision_written(self) -> str | None:
        """That of the whole model, if there is one."""
        if "gguf" in self.parts:
            return precision_of_gguf(self.asked)
        return self.precision if "merged" in self.parts else None

    @property
    def gguf(self) -> str | None:
        """The name of the GGUF file, if there is one."""
        return gguf_name(self.run, self.asked) if "gguf" in self.parts else None

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end an answer, where the base's own settings do not name all of them."""
        try:
            own = GenerationConfig.from_pretrained(self.base.folder).eos_token_id
        except OSError:
            own = None
        known = set(own if isinstance(own, list) else [own])
        wanted = ends_of(self.tokenizer)
        return () if wanted <= known else tuple(sorted(wanted | (known - {None})))

    def folder(self, part: str) -> Path:
        return self.worker.files.made / part

    def make(self) -> None:
        """Make every part that is not there yet; raises StudioError."""
        crowd.watch()  # a training may go on beside
        for part in self.parts:
            self._make(part)

    def _make(self, part: str) -> None:
        make = {"adapter": self._adapter, "merged": self._merged, "gguf": self._gguf}[part]
        folder, aside = self.folder(part), self.worker.files.scratch / part
        if not folder.exists():
            folder.parent.mkdir(exist_ok=True)
            with whole_folder(aside, folder, folder):
                make(aside)

    def _adapter(self, folder: Path) -> None:
        size.check_disk(size.folder_bytes(self.source), "the adapter")
        write_adapter(self.facts, self.source, folder, self.tokenizer)

    def _merged(self, folder: Path) -> None:
        folder_of_weights = self.weights.folder
        size.check_disk(size.merged_bytes(folder_of_weights, self.precision), "the merged model")
        size.check_memory(folder_of_weights, self.precision)
        adapter = None if self.whole else self.source
        things = Ingredients(self.weights, adapter, self.tokenizer, ends_of(self.tokenizer))
        try:
            found = write_merged(things, self.precision, folder, self.worker.progress)
        except MemoryError:
            raise ModelError("The memory is too small to merge this model. Take the adapter alone.") from None
        self.worker.event("merged", precision=self.precision, apart=found.apart, same_answer=found.same_answer)

    def _gguf(self, folder: Path) -> None:
        """Of the merged model, which is not kept."""
        check_known(self.base)  # nobody wants to hear after an hour of merging
        self._check_room_for_gguf()
        self._make("merged")
        merged = Found(self.folder("merged"), None, code=self.base.code)
        file = folder / gguf_name(self.run, self.asked)
        make_gguf(Model(merged, precision_of_gguf(self.asked)), self.run.name, file, self.worker)
        text = modelfile(file.name, self.tokenizer, self.facts.system_prompt)
        (folder / MODELFILE).write_text(text, encoding="utf-8")
        remove_whole(merged.folder, self.worker.files.scratch / "merged")

    def _check_room_for_gguf(self) -> None:
        """Raise JobError where the merged model and the file do not fit on the disk together."""
        weights = self.weights.folder
        needed = size.merged_bytes(weights, precision_of_gguf(self.asked))
        if not self.folder("merged").exists():
            needed += size.merged_bytes(weights, self.precision)
        size.check_disk(needed, "the GGUF file with the merged model that it is made of")
