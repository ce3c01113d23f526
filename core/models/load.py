"""Find a model, fetch it if need be, and load it. For jobs and the chat engine only: this imports torch."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from core.errors import ModelError
from core.models import hub, own_code, starter
from core.models.bits import quantization
from core.models.left_out import LeftOut
from core.models.progress import Progress, silent
from core.models.templates import template_text
from core.where import Place, local_path, place_of

# Settings for answers that mean something only where a model draws its words.
OF_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff")


@dataclass(frozen=True)
class Found:
    """A model's files on this machine, and the commit or package they came from (None for a person's own folder).

    `changed` is when such a folder's weights were written last, in nanoseconds: other weights are another model. `code` is
    whether the Python files in it may run. Where layers are `left_out`, `whole` is the folder with all of them.
    """

    folder: Path
    revision: str | None
    changed: int = 0
    code: bool = False
    whole: Path | None = None
    left_out: LeftOut | None = None

    @property
    def original(self) -> "Found":
        """The model with all its layers."""
        return replace(self, folder=self.whole, whole=None, left_out=None) if self.whole else self


def fetch(
    source: str,
    revision: str | None = None,
    progress: Progress = silent,
    weights: bool = True,
    code: bool = False,
) -> Found:
    """The model's files, or all but the weights, downloaded where they are missing; raises ModelError or HubError.

    With `code` its own Python files come along and may run; the recipe allows that at a full commit alone.
    """
    place = place_of(source)
    if place is Place.STARTER:
        folder = starter.fetch(progress)
        origin = starter.origin()
        return Found(folder, origin.get("revision") or origin.get("sha256"))
    if place is Place.LOCAL:
        folder = local_path(source)
        written = [file.stat().st_mtime_ns for file in folder.glob("*.safetensors")]
        return Found(folder, None, max(written, default=0), code)
    if place is Place.UNKNOWN:
        raise ModelError(f"{source!r} is no model: give a Hub id such as owner/name, a folder, or `starter`.")
    folder = hub.download(source, revision, progress, weights, code)
    if code:
        own_code.check(source, revision, folder)
    return Found(folder, folder.name, code=code)


def load_tokenizer(
    found: Found, chat_template: str | None = None, spare_template: str | None = None
) -> PreTrainedTokenizerBase:
    """The model's tokenizer, with another chat template if one is given, or a spare one if it has none.

    A template is a name of ours or Jinja text; the tokenizer holds the text, so that it is saved with it. Of a model without
    some layers it is the whole one's, whose template may be newer than the smaller folder. Raises ModelError.
    """
    whole = found.original
    try:
        tokenizer = AutoTokenizer.from_pretrained(whole.folder, trust_remote_code=whole.code)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(why_not("tokenizer", whole, error)) from error
    if template := chat_template or (None if tokenizer.chat_template else spare_template):
        tokenizer.chat_template = template_text(template, begins_with_bos(tokenizer))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def begins_with_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer begins every text with its beginning-of-text token, as its model saw it in pretraining."""
    return tokenizer.bos_token_id is not None and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]


def load_base(found: Found, dtype: torch.dtype, device: str, bits: int = 16) -> PreTrainedModel:
    """The base model in a number format on a device, its linear layers in 4 or 8 bits if asked; raises ModelError.

    Attention is transformers' choice: SDPA, but for families it does not fit, such as Gemma 2 (soft-capped scores).
    """
    # What is quantised is put on its device while it is loaded: it cannot be moved afterwards.
    how = {"quantization_config": quantization(bits, dtype), "device_map": {"": device}} if bits < 16 else {}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            found.folder, dtype=dtype, trust_remote_code=found.code, use_safetensors=True, **how
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(why_not("model", found, error)) from error
    _keep_what_can_be_saved(model)
    if bits == 16:
        return model.to(device)
    _keep_as_quantised(model)
    return model


def _keep_what_can_be_saved(model: PreTrainedModel) -> None:
    """Drop what the model's settings for answers have beside their way of answering, such as a temperature without sampling.

    transformers ignores it when it answers, and refuses to save it: a training would end at its first checkpoint.
    """
    settings = model.generation_config
    if settings and not settings.do_sample:
        for name in OF_SAMPLING:
            setattr(settings, name, None)


def _keep_as_quantised(model: PreTrainedModel) -> None:
    """Hold 4-bit weights as they are when a loss is measured.

    On a CPU with bf16 instructions bitsandbytes repacks them then, with other scales, for a product that has no gradient,
    and never back: a training would go on after a measurement with other weights, and learn nearly nothing from below.
    """
    from bitsandbytes.nn import Linear4bit  # a second that only quantised models need

    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = False


def why_not(what: str, found: Found, error: Exception) -> str:
    """Why a part of a model cannot be loaded, in a sentence."""
    if "trust_remote_code" in str(error):
        return own_code.unread(what, found.folder)
    return f"The {what} in {found.folder} cannot be loaded: {str(error).strip().splitlines()[0][:300]}"
