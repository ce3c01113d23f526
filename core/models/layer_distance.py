"""How much blocks of layers change what goes through them: those that change it least are missed least. This imports torch.

Measured as in arXiv:2403.17887: the angle at the last token of a text between what goes into the block and what comes out.
"""

import json
from math import isfinite

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core import home
from core.errors import ModelError
from core.evaluation.asked import EVERYDAY
from core.files import read_json, write_whole
from core.inference.cpu import quicken
from core.models import crowd
from core.models.load import Found, load_tokenizer
from core.models.progress import Progress
from core.models.whole_model import whole_model

AT_ONCE = 20


def distances(found: Found, key: str, progress: Progress) -> list[list[float]]:
    """Row n - 1, place l: the mean angle, in half turns, by which layers l to l + n - 1 turn the hidden state.

    No block has the last layer, which makes words of it. Measured once for a model, which `key` stands for; raises
    ModelError.
    """
    file = home.distances_file(key)
    known = (read_json(file) or {}).get("distances")
    if known is None:
        known = _measured(found, progress)
        write_whole(file, json.dumps({"distances": known}))
    return known


def _measured(found: Found, progress: Progress) -> list[list[float]]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    texts, states = _tokens(load_tokenizer(found)), []
    with whole_model(found, device) as model, crowd.asleep():
        model.eval()
        if device == "cpu":
            quicken(model)
        for start in range(0, len(texts), AT_ONCE):
            progress("Comparing layers", start, len(texts))
            states.append(_states(model, texts[start : start + AT_ONCE]))
    angles = _angles(torch.cat(states)).mean(dim=0).tolist()
    if not all(isfinite(angle) for row in angles for angle in row):
        raise ModelError("model.drop_layers: this model's layers cannot be compared, for what they give is no number.")
    layers = len(angles)
    return [[round(angles[layer][layer + n], 6) for layer in range(layers - n)] for n in range(1, layers)]


def _tokens(tokenizer: PreTrainedTokenizerBase) -> list[torch.Tensor]:
    """Short questions with their answers, (seq,) each: always the same, so that the same layers are found."""
    rows = [json.loads(line) for line in EVERYDAY.read_text(encoding="utf-8").splitlines()]
    return [torch.tensor(tokenizer(f"{row['question']}\n{row['answer']}")["input_ids"]) for row in rows]


@torch.inference_mode()
def _states(model: PreTrainedModel, texts: list[torch.Tensor]) -> torch.Tensor:
    """What goes into each layer at the last token, (texts, layers, hidden).

    Texts are filled up behind their end, where no token looks. What the last layer gives is normed, and left out.
    """
    ids = pad_sequence(texts, batch_first=True).to(model.device)  # (texts, seq)
    found = model.get_decoder()(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[:-1]
    ends = torch.tensor([len(text) - 1 for text in texts], device=model.device)
    return torch.stack([state[torch.arange(len(texts)), ends] for state in found], dim=1).float().cpu()


def _angles(states: torch.Tensor) -> torch.Tensor:
    """Between any two layers of each text, (texts, layers, layers), in half turns."""
    directions = torch.nn.functional.normalize(states.double(), dim=-1)
    return torch.arccos((directions @ directions.mT).clamp(-1, 1)) / torch.pi
