"""The model card: what was trained, on what and how, how much it helped, how to use it. No torch.

Whatever is not known is left out; whatever a person has written is escaped.
"""

from collections.abc import Iterator

from huggingface_hub import ModelCardData

from core.export.asked import ROUNDED
from core.hub.card_contents import BESIDE, PICTURE, RECIPE, Contents
from core.hub.card_results import results
from core.hub.card_use import use
from core.hub.facts import Data, Facts
from core.hub.markdown import fenced, plain, table
from core.training.held_out_events import ALL

PROJECT = "Fine-Tuning Studio"


def text(facts: Facts, contents: Contents) -> str:
    """The whole README.md."""
    parts = (
        f"---\n{metadata(facts, contents).to_yaml()}\n---",
        f"# {plain(facts.run.name)}",
        _summary(facts, contents),
        *_training(facts, contents),
        *results(facts),
        *use(facts, contents),
        *_template(facts, contents),
        *_limits(facts, contents),
    )
    return "\n\n".join(parts) + "\n"


def metadata(facts: Facts, contents: Contents) -> ModelCardData:
    """What the Hub reads of a card: https://huggingface.co/docs/hub/model-cards."""
    licence = facts.licence
    ids = list(dict.fromkeys(data.hub_id for data in facts.data if data.hub_id and not data.held_out))
    relation = {} if facts.base is None else {"base_model_relation": "finetune" if contents.whole else "adapter"}
    return ModelCardData(
        base_model=facts.base,
        **relation,
        datasets=ids or None,
        language=facts.language,
        license=licence.id if licence else None,
        license_name=licence.name if licence else None,
        license_link=licence.link if licence else None,
        library_name="gguf" if contents.gguf else "transformers" if contents.whole else "peft",
        pipeline_tag="text-generation",
        tags=[*_method_tags(facts), facts.recipe.training.objective, "fine-tuning-studio"],
    )


def _method_tags(facts: Facts) -> list[str]:
    name = facts.recipe.lora.method
    return [] if facts.method.whole else list(dict.fromkeys(["lora", name.replace("+", "-plus")]))


def _summary(facts: Facts, contents: Contents) -> str:
    base = _base(facts)
    of_it = f"{base}," if facts.left_out else base
    title = facts.method.title
    adapter = f"{'an' if title.startswith(('E', 'r')) else 'a'} {title} adapter"
    if facts.method.whole:
        what = f"{of_it} with every weight of it trained"
    elif contents.whole and contents.adapter:
        what = f"{of_it} with {adapter} merged into it, and that adapter in `{BESIDE}/`"
    elif contents.whole:
        what = f"{of_it} with {adapter} merged into it"
    else:
        what = f"A{adapter[1:]} for {base}"
    file = ", as a GGUF file" if contents.gguf else ""
    precision = f"{file}, in {contents.precision}" if contents.precision else ""
    steps = f" for {facts.steps:,} {'step' if facts.steps == 1 else 'steps'}" if facts.steps else ""
    on = " on preferences" if facts.objective.pairs else ""
    return f"{what}{precision}, trained{on}{steps} with {PROJECT}."


def _base(facts: Facts) -> str:
    name = f"[{facts.base}](https://huggingface.co/{facts.base})" if facts.base else plain(facts.base_name)
    return f"{name} without {facts.left_out.words}" if facts.left_out else name


def _training(facts: Facts, contents: Contents) -> Iterator[str]:
    yield "## Training"
    yield table(("Data", "Licence"), map(_data_row, facts.data), numbers=False)
    yield table(("Setting", "Value"), _settings(facts), numbers=False)
    yield f"All settings stand in [`{RECIPE}`](./{RECIPE})."
    if contents.picture:
        yield f"![{_picture_in_words(facts)}](./{PICTURE})"


def _data_row(data: Data) -> tuple[str, str]:
    name = f"[{plain(data.name)}](https://huggingface.co/datasets/{data.hub_id})" if data.hub_id else plain(data.name)
    use = ", held out" if data.held_out else ""
    return name + use, plain(data.licence or "not known")


def _settings(facts: Facts) -> Iterator[tuple[str, str]]:
    """Name and value of what is asked about most."""
    recipe, rows, resolved = facts.recipe, facts.prepared, facts.run.resolved
    lora, training = recipe.lora, recipe.training
    if facts.method.whole:
        yield "Method", facts.method.title
    else:
        bits = f", base in {facts.method.bits} bits" if facts.method.bits < 16 else ""
        yield "Method", f"{facts.method.title}, rank {lora.rank}, alpha {lora.alpha}, dropout {lora.dropout:g}{bits}"
        targets = lora.targets if isinstance(lora.targets, str) else ", ".join(lora.targets)
        yield "Targets", plain(targets)
    if facts.left_out:
        yield "Left out", f"{facts.left_out.words}, those that change what goes through them least (arXiv:2403.17887)"
    if recipe.model.start_from:
        yield "Began with", "the adapter of an earlier run"
    yield from _preferences(facts)
    if isinstance(rows.get("rows"), int) and isinstance(rows.get("tokens"), int):
        said = f"{rows['rows']:,} with {rows['tokens']:,} tokens{_part(facts, rows['rows'])}"
        yield "Pairs" if facts.objective.pairs else "Rows", said
    learned = "answers only" if recipe.data.train_on == "assistant" else "every token"
    learned = "pairs of a chosen and a rejected answer" if facts.objective.pairs else learned
    yield "Trained on", f"{learned}, up to {recipe.data.max_length:,} tokens a conversation"
    if facts.steps:
        what = "packed rows" if recipe.data.packs else "pairs" if facts.objective.pairs else "conversations"
        yield "Steps", f"{facts.steps:,}, each of {recipe.effective_batch():,} {what}"
    yield "Learning rate", f"{training.learning_rate:g}, {training.schedule}"
    yield "Optimiser", plain(facts.optimizer)
    yield "Seed", f"{training.seed}"
    if isinstance(precision := resolved.get("precision"), dict) and isinstance(precision.get("name"), str):
        yield "Trained in", plain(precision["name"])
    if isinstance(device := resolved.get("device"), dict) and isinstance(device.get("name"), str):
        yield "Trained on a", plain(device["name"])
    if isinstance(versions := resolved.get("versions"), dict):
        yield "Versions", plain(", ".join(f"{name} {value}" for name, value in versions.items()))


def _preferences(facts: Facts) -> Iterator[tuple[str, str]]:
    """By which objective it was trained on pairs, and what it was held near."""
    if not facts.objective.pairs:
        return
    yield "Objective", f"{facts.objective.title}, beta {facts.recipe.training.beta:g} ({facts.objective.paper})"
    if facts.objective.reference:
        yield "Held near", "the adapter that it began with" if facts.recipe.model.start_from else "its base model"


def _part(facts: Facts, rows: int) -> str:
    """How many of them were learned from, where the steps ended before the last; of packed rows it is not known."""
    reached = facts.recipe.reached(facts.steps or rows, rows)
    return f"; {reached:,} were learned from" if reached < rows and not facts.recipe.data.packs else ""


def _picture_in_words(facts: Facts) -> str:
    losses = facts.held_out.get(ALL)
    return f"Held-out loss from {losses[0]:.3f} to {losses[1]:.3f}" if losses else "Training loss by step"


def _template(facts: Facts, contents: Contents) -> Iterator[str]:
    yield "## Chat template"
    template, where = facts.recipe.model.chat_template, "in the file" if contents.gguf else "with the tokenizer"
    if template is None:
        yield f"Its base model's own; it is saved {where}."
    elif "{" in template:
        yield f"It was trained with this one instead of its base model's; it is saved {where}."
        yield fenced(template, "jinja")
    else:
        yield f"It was trained with the template `{template}` of {PROJECT}; it is saved {where}."


def _limits(facts: Facts, contents: Contents) -> Iterator[str]:
    yield "## Limits"
    knows = "what is left of its base model without those layers" if facts.left_out else "what its base model knows"
    said = [f"It knows {knows} and what its data teaches; what it says may be wrong."]
    if not facts.findings:
        what = "how it tells held-out pairs apart" if facts.objective.pairs else "the loss"
        said.append(f"Nothing but {what} was measured." if facts.held_out else "Nothing was measured.")
    if facts.language is None:
        said.append("In which languages it answers well was not measured.")
    if contents.whole and facts.method.bits < 16:
        said.append(
            f"It was trained on a base held in {facts.method.bits} bits and merged into the base's full weights, so its "
            "answers may differ a little from those in training."
        )
    if contents.gguf and contents.precision in ROUNDED:
        said.append("Its numbers are rounded, so its answers may differ a little from those in training.")
    if facts.base_is_requantised and not contents.whole:
        said.append(
            "It was trained on a copy of its base whose weights had been rounded to four bits, so on the original its "
            "answers may differ a little from those in training."
        )
    if facts.base_is_requantised and contents.whole and not facts.method.whole:
        said.append("It is merged into a copy of its base whose weights had been rounded to four bits.")
    yield "\n".join(f"- {sentence}" for sentence in said)
