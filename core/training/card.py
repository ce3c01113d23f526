"""The model card that lies beside what was trained: what it is, what it was trained on, how to use it."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from core import catalog
from core.jobs.folder import Job
from core.recipe import Recipe
from core.recipe_yaml import to_yaml
from core.training.methods import METHODS
from core.training.model import portable_name
from core.where import Place, place_of


def write(folder: Path, job: Job, facts: dict[str, Any]) -> None:
    """Write README.md; `facts` has `steps`, `rows` and `held_out_loss` (None if nothing was held out)."""
    (folder / "README.md").write_text(_text(job.recipe, facts), encoding="utf-8")


def _text(recipe: Recipe, facts: dict[str, Any]) -> str:
    base = portable_name(recipe.model.source)
    loss = facts["held_out_loss"]
    whole = METHODS[recipe.lora.method].whole
    what = f"`{base}`, every weight of it trained" if whole else f"A LoRA adapter for `{base}`, trained"
    package, loader = ("transformers", "AutoModelForCausalLM") if whole else ("peft", "AutoPeftModelForCausalLM")
    measured = f" Its loss on held-out rows is {loss:.3f}." if loss is not None else ""
    return f"""---
{_metadata(recipe).to_yaml()}
---

# {recipe.name}

{what} for {facts["steps"]:,} steps on {facts["rows"]:,} rows with Fine-Tuning Studio.{measured}

## Use

```python
from {package} import {loader}
from transformers import AutoTokenizer

model = {loader}.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
```

## Recipe

```yaml
{to_yaml(recipe)}```

## Limits

It knows what its base model knows and what its data teaches. Nothing else was measured: try it before you rely on it.
"""


def _metadata(recipe: Recipe) -> ModelCardData:
    known = catalog.model(portable_name(recipe.model.source))
    sources = [source.source for source in recipe.data.sources if place_of(source.source) is Place.HUB]
    whole = METHODS[recipe.lora.method].whole
    hub = place_of(recipe.model.source) is not Place.LOCAL
    return ModelCardData(
        base_model=portable_name(recipe.model.source) if hub else None,
        datasets=sources or None,
        library_name="transformers" if whole else "peft",
        license=known.licence if known else None,
        pipeline_tag="text-generation",
        tags=[*([] if whole else ["lora"]), "sft", "fine-tuning-studio"],
    )
