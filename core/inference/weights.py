"""One base model in memory, with LoRA adapters on it that are switched, not merged, so the base stays what it was."""

import gc
from collections import OrderedDict
from contextlib import ExitStack, nullcontext
from itertools import count
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

from core.errors import ModelError
from core.inference.choices import ADAPTER_FILES
from core.inference.cpu import quicken
from core.inference.protocol import MOST_MODELS
from core.models.load import Found, load_base

# PEFT's name for rows of a batch that no adapter touches.
BASE = "__base__"

# As many as are compared at once; an adapter takes a few percent of its base.
MOST_ADAPTERS = MOST_MODELS

# What PEFT and safetensors raise for an adapter that is broken, or that belongs to another base.
UNFIT = (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError)


def device_and_dtype() -> tuple[str, torch.dtype]:
    """Where answers are computed, and in which number format."""
    if torch.cuda.is_available():
        return "cuda", torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
    if torch.backends.mps.is_available():
        return "mps", torch.float32
    return "cpu", torch.bfloat16


class Weights:
    """What is in memory. Used by one thread at a time."""

    def __init__(self) -> None:
        self.device, self.dtype = device_and_dtype()
        self.found: Found | None = None
        self.model: PreTrainedModel | PeftModel | None = None
        self.adapters: OrderedDict[str, str] = OrderedDict()  # which file, in which version -> its name in PEFT
        self._numbers = count(1)

    def name_of(self, found: Found, adapter: Path | None) -> str:
        """What `generate` calls the base or an adapter on it, loaded if need be; raises ModelError."""
        self._hold(found)
        return BASE if adapter is None else self._name_of(adapter)

    def mixes(self, name: str) -> bool:
        """Whether it can answer in one batch with others; PEFT refuses that for DoRA, and trained tokens are the batch's."""
        if name == BASE:
            return True
        config = self.model.peft_config[name]
        return not config.use_dora and not config.trainable_token_indices

    def generate(self, names: list[str], **settings) -> None:
        """Let each row answer as the base or the adapter of that name."""
        if set(names) == {BASE}:
            with self._without_adapters():
                self.model.generate(**settings)
        elif len(set(names)) == 1:
            self.model.set_adapter(names[0])
            self.model.generate(**settings)
        else:
            self.model.generate(adapter_names=names, **settings)

    def unload(self) -> None:
        """Free the memory of everything; the next answer loads again."""
        self.found = self.model = None
        self.adapters.clear()
        # PEFT and transformers models hold references in circles, and CUDA keeps freed blocks for itself.
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def _hold(self, found: Found) -> None:
        """Have this base in memory; another one is freed before it is loaded, as both may not fit."""
        if self.found == found:
            return
        self.unload()
        self.model = load_base(found, self.dtype, self.device).eval()
        if self.device == "cpu":
            quicken(self.model)
        self.found = found

    def _without_adapters(self):
        return self.model.disable_adapter() if isinstance(self.model, PeftModel) else nullcontext()

    def _name_of(self, folder: Path) -> str:
        """PEFT's name of the adapter in a folder, loaded if need be; the one used longest ago makes room."""
        version = _version(folder)
        if version not in self.adapters:
            self.adapters[version] = self._load_adapter(folder)
        self.adapters.move_to_end(version)
        while len(self.adapters) > MOST_ADAPTERS:
            _, oldest = self.adapters.popitem(last=False)
            self.model.delete_adapter(oldest)
        return self.adapters[version]

    def _load_adapter(self, folder: Path) -> str:
        name = f"adapter{next(self._numbers):06d}"
        with ExitStack() as undo:
            # An adapter that fails half-way may leave its layers on the base: then nothing of it is trusted.
            undo.callback(self.unload)
            try:
                self._put_on(folder, name)
            except UNFIT as error:
                raise ModelError(_unfit(folder, error)) from error
            undo.pop_all()
        return name

    def _put_on(self, folder: Path, name: str) -> None:
        settings = {"adapter_name": name, "torch_device": self.device, "autocast_adapter_dtype": False}
        if isinstance(self.model, PeftModel):
            self.model.load_adapter(str(folder), **settings)
        else:
            self.model = PeftModel.from_pretrained(self.model, str(folder), **settings)
        self.model.eval()
        _check_all_arrived(self.model, folder, name)


def _version(folder: Path) -> str:
    """Names what is in the folder now: a run that goes on writes another adapter to the same place."""
    try:
        seen = [(folder / name).stat() for name in ADAPTER_FILES]
    except FileNotFoundError:
        raise ModelError(f"There is no adapter in {folder} any more. Choose another checkpoint.") from None
    return f"{folder} {[(file.st_mtime_ns, file.st_size) for file in seen]}"


def _check_all_arrived(model: PeftModel, folder: Path, name: str) -> None:
    """PEFT only warns about weights that found no place; then the base would answer in the adapter's name."""
    with safe_open(folder / ADAPTER_FILES[1], "pt") as file:
        written = {key for key in file.keys() if "lora" in key}  # noqa: SIM118
    placed = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    if written != {key for key in placed if "lora" in key}:
        raise ValueError("its layers are not those of the base model")


def _unfit(folder: Path, error: Exception) -> str:
    first_line = str(error).strip().split("\n")[0][:200]
    return f"The adapter in {folder} is damaged or belongs to another base model: {first_line}"
