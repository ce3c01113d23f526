"""One base model in memory, with LoRA adapters on it that are switched, not merged, so the base stays what it was."""

from collections import OrderedDict
from collections.abc import Collection
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

from core.errors import ModelError
from core.inference import room
from core.inference.choices import ADAPTER_FILES
from core.inference.cpu import quicken
from core.inference.protocol import MOST_MODELS
from core.inference.voices import BASE, Voice, is_plain, let_peft_speak
from core.models.give_back import give_back
from core.models.load import Found, load_base

# As many as are compared at once; an adapter takes a few percent of its base.
MOST_ADAPTERS = MOST_MODELS
# Each holds the adapters of its rows once more.
MOST_VOICES = 4

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
        self.bits = 16
        self.held_bytes = 0  # that the base takes
        self.base: PreTrainedModel | None = None  # it generates; adapters sit on its layers
        self.adapted: PeftModel | None = None  # the same, as PEFT sees it; from the first adapter on
        self.adapters: OrderedDict[str, str] = OrderedDict()  # which file, in which version -> its name in PEFT
        self._numbers = count(1)
        self._voices: dict[tuple[str, ...], Voice] = {}
        self._speaking: tuple[str, ...] | None = None

    def holds(self, found: Found, bits: int) -> bool:
        return (self.found, self.bits) == (found, bits)

    def hold(self, found: Found, bits: int) -> None:
        """Have this base in memory; another one is freed before it is loaded, as both may not fit. Raises ModelError."""
        if self.holds(found, bits):
            return
        if self.device == "mps" and bits < 16:
            raise ModelError(f"On an Apple GPU a model cannot be loaded in {bits} bits. Choose 16.")
        self.unload()
        room.check(found.folder, bits)
        self.base = load_base(found, self.dtype, self.device, bits).eval()
        if self.device == "cpu":
            quicken(self.base)
        self.found, self.bits, self.held_bytes = found, bits, room.weights_bytes(found.folder, bits)

    def name_of(self, adapter: Path | None, in_use: Collection[str] = ()) -> str:
        """The name of the base in memory, or of an adapter on it, loaded if need be; raises ModelError.

        The adapter used longest ago makes room, unless it is in use.
        """
        if adapter is None:
            return BASE
        version = _version(adapter)
        if version not in self.adapters:
            self.adapters[version] = self._load_adapter(adapter)
        self.adapters.move_to_end(version)
        self._make_room({*in_use, self.adapters[version]})
        return self.adapters[version]

    def mixes(self, name: str) -> bool:
        """Whether it can answer in one batch with others."""
        return name == BASE or is_plain(self.base, name)

    def speak_as(self, names: tuple[str, ...]) -> None:
        """From now on, let each row of the batch be the base or the adapter of that name."""
        if not self.adapted or names == self._speaking:
            return
        self._speaking = None
        if self.mixes(names[0]):
            self._voice(names).speak()
        else:
            let_peft_speak(self.adapted, names[0])
        self._speaking = names

    def _voice(self, names: tuple[str, ...]) -> Voice:
        """Kept while others have their turns; one that nobody used for long makes room, and would be made again."""
        voice = self._voices.pop(names, None) or Voice(self.base, names)
        self._voices[names] = voice
        if len(self._voices) > MOST_VOICES:
            self._voices.pop(next(iter(self._voices)))
        return voice

    def keep_silent(self) -> None:
        """Forget how batches spoke: no longer needed, or not right since the adapters changed."""
        self._voices.clear()
        self._speaking = None

    def unload(self) -> None:
        """Free the memory of everything; the next answer loads again."""
        self.found = self.base = self.adapted = None
        self.adapters.clear()
        self.keep_silent()
        give_back()

    def _make_room(self, in_use: Collection[str]) -> None:
        for version, name in list(self.adapters.items()):
            if len(self.adapters) > MOST_ADAPTERS and name not in in_use:
                del self.adapters[version]
                self.adapted.delete_adapter(name)
                self.keep_silent()

    def _load_adapter(self, folder: Path) -> str:
        name = f"adapter{next(self._numbers):06d}"
        try:
            _check_fits(self.base, folder)
            self._put_on(folder, name)
        except UNFIT as error:
            raise ModelError(_unfit(folder, error)) from error
        return name

    def _put_on(self, folder: Path, name: str) -> None:
        settings = {"adapter_name": name, "torch_device": self.device, "autocast_adapter_dtype": False}
        self.keep_silent()
        with ExitStack() as undo:
            # What fails half-way may leave its layers on the base: then nothing of it is trusted.
            undo.callback(self.unload)
            if self.adapted:
                self.adapted.load_adapter(str(folder), **settings)
            else:
                self.adapted = PeftModel.from_pretrained(self.base, str(folder), **settings)
            self.base.eval()
            undo.pop_all()
        if not _all_arrived(self.adapted, folder, name):
            self.adapted.delete_adapter(name)
            raise ValueError("its layers are not those of the base model")


def _version(folder: Path) -> str:
    """Names what is in the folder now: a run that goes on writes another adapter to the same place."""
    try:
        seen = [(folder / name).stat() for name in ADAPTER_FILES]
    except FileNotFoundError:
        raise ModelError(f"There is no adapter in {folder} any more. Choose another checkpoint.") from None
    return f"{folder} {[(file.st_mtime_ns, file.st_size) for file in seen]}"


def _check_fits(base: PreTrainedModel, folder: Path) -> None:
    """Raise ValueError for weights that find no place, before anything is put on the base: others speak with it."""
    modules = dict(base.named_modules())
    with safe_open(folder / ADAPTER_FILES[1], "pt") as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    ours = {key: shape for key, shape in shapes.items() if ".lora_A." in key or ".lora_B." in key}
    if not ours:
        raise ValueError("there is no LoRA in it")
    for key, shape in ours.items():
        place, _, rest = key.removeprefix("base_model.model.").rpartition(".lora_")
        module = modules.get(place)
        width = getattr(module, "in_features" if rest.startswith("A") else "out_features", None)
        if module is None or (width and rest.endswith("weight") and width not in shape):
            raise ValueError(f"its layer {place} is not one of the base model, or of another size")


def _all_arrived(model: PeftModel, folder: Path, name: str) -> bool:
    """PEFT only warns about weights that found no place; then the base would answer in the adapter's name."""
    with safe_open(folder / ADAPTER_FILES[1], "pt") as file:
        written = {key for key in file.keys() if "lora" in key}  # noqa: SIM118
    placed = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    return written == {key for key in placed if "lora" in key}


def _unfit(folder: Path, error: Exception) -> str:
    first_line = str(error).strip().split("\n")[0][:200]
    return f"The adapter in {folder} is damaged or belongs to another base model: {first_line}"
