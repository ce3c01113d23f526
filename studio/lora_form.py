"""How the adapter is taught: the essentials, and five folded groups whose labels carry their values."""

import streamlit as st

from core.models.known_shape import shape_of, trained_shape
from core.models.modules import linear_names
from core.recipe import Recipe
from core.training.methods import METHODS
from core.training.trackers import TRACKERS as KNOWN_TRACKERS
from studio import draft, recipe_form, words
from studio.layout import section
from studio.markdown import plain
from studio.objective_choice import RATE, objective_choice, rate_note
from studio.plan_panel import length_note
from studio.schedule_chart import schedule_chart

RANKS = [2, 4, 8, 16, 32, 64, 128, 256]
RATES = [2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3]
DROPOUTS = [0, 0.05, 0.1, 0.15, 0.2, 0.3]
TARGETS = {"all-linear": "All linear layers", "attention": "Attention", "mlp": "MLP"}
SCHEDULES = {
    "cosine_with_min_lr": "Cosine to a lowest rate",
    "warmup_stable_decay": "Stable, then decay",
    "inverse_sqrt": "Inverse square root",
}
# What only one schedule has.
OF_SCHEDULE = {"cosine_with_min_lr": "training.min_rate", "warmup_stable_decay": "training.decay"}
OPTIMIZERS = {
    "auto": "Automatic (AdamW)",
    "adamw": "AdamW, not fused",
    "adamw_8bit": "AdamW 8-bit",
    "paged_adamw_8bit": "Paged AdamW 8-bit",
    "sgd": "SGD",
}
TRACKERS = {name: tracker.title for name, tracker in KNOWN_TRACKERS.items()}
AUTOMATIC = {"auto": "Automatic", "on": "On", "off": "Off"}
PRECISIONS = {"auto": "Automatic", "fp32": "fp32", "bf16": "bf16", "fp16": "fp16"}


def essentials(recipe: Recipe, steps: int | None) -> None:
    """What nearly every run sets."""
    section("Essentials")
    _pair(objective_choice, _run_name_and_beta, recipe)
    _pair(_method, _alpha_and_epochs, recipe)
    left, right = st.columns([1.2, 1], gap="medium")
    with left:
        if not METHODS[recipe.lora.method].whole:
            recipe_form.slider("lora.rank", RANKS)
        recipe_form.slider(RATE, RATES, words.rate)
        rate_note(recipe)
        _batch(recipe)
        _precision_and_measuring()
        length_note(recipe)
    with right:
        recipe_form.select("training.schedule", SCHEDULES)
        schedule_chart(recipe.training, steps)


def _pair(one, other, recipe: Recipe) -> None:
    left, right = st.columns([1.2, 1], gap="medium")
    with left:
        one(recipe)
    with right:
        other(recipe)


def _method(recipe: Recipe) -> None:
    recipe_form.select("lora.method", {name: method.title for name, method in METHODS.items()})
    st.caption(METHODS[recipe.lora.method].cost)


def _run_name_and_beta(recipe: Recipe) -> None:
    """Beta where pairs are learned from."""
    if not recipe.objective.pairs:
        return recipe_form.text("name")
    one, two = st.columns(2, gap="xsmall")
    with one:
        recipe_form.text("name")
    with two:
        recipe_form.number("training.beta", step=0.05, write="%g")


def _alpha_and_epochs(recipe: Recipe) -> None:
    """Without an adapter there is no alpha."""
    if METHODS[recipe.lora.method].whole:
        return _epochs(recipe)
    one, two = st.columns(2, gap="xsmall")
    with one:
        recipe_form.number("lora.alpha")
    with two:
        _epochs(recipe)


def _epochs(recipe: Recipe) -> None:
    """With a number of steps set, epochs say nothing."""
    recipe_form.number("training.epochs", step=1, write="%g")
    if steps := recipe.training.max_steps:
        st.caption(f"Max steps decides: {steps:,}")


def _batch(recipe: Recipe) -> None:
    one, two, three = st.columns(3, gap="xsmall")
    with one:
        recipe_form.number("training.batch")
    with two:
        recipe_form.number("training.accumulation")
    with three:
        recipe_form.number("training.seed")
    training, processes = recipe.training, recipe.launcher.processes
    together = words.count(recipe.effective_batch(), "pair" if recipe.objective.pairs else "example")
    times = f" × {processes} processes" if processes > 1 else ""
    st.caption(f"{training.batch} × {training.accumulation}{times} = **{together} per step**")


def _precision_and_measuring() -> None:
    one, two, three = st.columns(3, gap="xsmall")
    with one:
        recipe_form.select("training.precision", PRECISIONS)
    with two:
        recipe_form.number("data.max_length", step=128, place="lora:")
    with three:
        recipe_form.number("training.eval_every", step=10, empty="auto")


def adapter(recipe: Recipe) -> None:
    """Nothing where the model itself is trained."""
    lora = recipe.lora
    if METHODS[lora.method].whole:
        return
    begin = f" · goes on from {plain(recipe.model.start_from)}" if recipe.model.start_from else ""
    with _folded("account_tree", "Adapter", f"dropout {lora.dropout:g} · {_targets(lora.targets)}{begin}"):
        one, two = st.columns([1, 1.4], gap="medium")
        with one:
            recipe_form.slider("lora.dropout", DROPOUTS, "{:g}".format)
        with two:
            _where(recipe)
        one, two, three = st.columns(3, gap="medium")
        with one:
            recipe_form.number("lora.first_layer", empty="from the bottom")
        with two:
            recipe_form.number("lora.last_layer", empty="to the top")
        with three:
            if METHODS[lora.method].faster_b:
                recipe_form.number("lora.plus_ratio", step=1, write="%g")
        one, two, three = st.columns(3, gap="medium", vertical_alignment="bottom")
        with one:
            recipe_form.switch("lora.bias")
        with two:
            recipe_form.switch("lora.template_tokens")
        with three:
            recipe_form.text("model.start_from", empty="a fresh adapter")


def _where(recipe: Recipe) -> None:
    """Three kinds of layers to choose from, or the model's own modules one by one."""
    targets, known = recipe.lora.targets, linear_names(recipe.model.source)
    if isinstance(targets, list):
        recipe_form.several("lora.targets", dict.fromkeys([*known, *targets]))
        st.button("By kind of layer", type="tertiary", key="targets:kinds", on_click=_aim, args=("all-linear",))
        return
    recipe_form.choice("lora.targets", TARGETS)
    if known:
        st.button("Choose modules", type="tertiary", key="targets:modules", on_click=_aim, args=(known,))


def _aim(targets: str | list[str]) -> None:
    draft.change({"lora.targets": targets})


def _targets(targets: str | list[str]) -> str:
    return TARGETS[targets].lower() if isinstance(targets, str) else plain(", ".join(targets))


def smaller(recipe: Recipe) -> None:
    """Layers that are left out of the model."""
    with _folded("content_cut", "Smaller model", _kept(recipe)):
        one, two = st.columns([1, 2.2], gap="medium")
        with one:
            recipe_form.number("model.drop_layers")
        with two:
            st.caption(
                "Which layers change least is measured before the training. Small models lose much by it, and need a long training "
                "to win it back. Evaluation and Chat show the whole base beside what came of the rest. The adapter fits no model "
                "that others have: it is exported and published merged."
            )


def _kept(recipe: Recipe) -> str:
    """24 of 30 layers · 113M of 135M parameters"""
    model = recipe.model
    whole, kept = shape_of(model.source, model.revision), trained_shape(model)
    if not model.drop_layers:
        return f"all {whole.layers} layers" if whole else "all layers"
    if whole is None:
        return f"{words.count(model.drop_layers, 'layer')} left out"
    sizes = f"{words.parameters(kept.parameters)} of {words.parameters(whole.parameters)} parameters"
    return f"{kept.layers} of {whole.layers} layers · {sizes}"


def optimizer(recipe: Recipe) -> None:
    training = recipe.training
    named = OPTIMIZERS.get(training.optimizer, training.optimizer.capitalize())
    facts = f"{named} · weight decay {training.weight_decay:g} · warm-up {words.percent(training.warmup)}"
    with _folded("trending_up", "Optimizer", f"{facts} · clip {training.max_grad_norm:g}"):
        one, two, three = st.columns(3, gap="medium")
        with one:
            recipe_form.number("training.weight_decay", step=0.01, write="%g")
        with two:
            recipe_form.number("training.max_grad_norm", step=0.1, write="%g")
        with three:
            recipe_form.number("training.warmup", step=0.01, write="%g")
        one, two, three = st.columns(3, gap="medium")
        with one:
            recipe_form.select("training.optimizer", OPTIMIZERS)
        with two:
            recipe_form.number("training.neftune", step=1, write="%g", empty="none")
        with three:
            recipe_form.number("training.label_smoothing", step=0.05, write="%g")
        if own := OF_SCHEDULE.get(training.schedule):
            with st.columns(3, gap="medium")[0]:
                recipe_form.number(own, step=0.05, write="%g")


def keeping(recipe: Recipe) -> None:
    kept, training = recipe.checkpoints, recipe.training
    measured = f"every {words.count(training.eval_every, 'step')}" if training.eval_every else "ten times a run"
    backed_up = f" · backed up to {plain(kept.hub_backup)}" if kept.hub_backup else ""
    facts = f"checkpoint {cadence(recipe)} · keep {kept.keep} · held-out loss {measured}{backed_up}"
    with _folded("save", "Evaluation and checkpoints", facts):
        one, two, three, four = st.columns(4, gap="medium")
        with one:
            recipe_form.number("checkpoints.every_steps", step=10, empty="minutes decide")
        with two:
            recipe_form.number("checkpoints.every_minutes", step=5, write="%g", empty="steps decide")
        with three:
            recipe_form.number("checkpoints.keep")
        with four:
            recipe_form.number("training.log_every")
        one, two, three = st.columns([1, 1, 2], gap="medium", vertical_alignment="bottom")
        with one:
            recipe_form.number("training.early_stopping", empty="never")
        with two:
            recipe_form.switch("training.load_best")
        with three:
            recipe_form.text("checkpoints.hub_backup", empty="nowhere: they stay on this machine")
        recipe_form.several("training.trackers", TRACKERS)


def cadence(recipe: Recipe) -> str:
    """How often a checkpoint is saved: every 100 steps or 10 min."""
    kept = recipe.checkpoints
    steps = [words.count(kept.every_steps, "step")] if kept.every_steps else []
    minutes = [f"{kept.every_minutes:g} min"] if kept.every_minutes else []
    return f"every {' or '.join(steps + minutes)}" if steps or minutes else "at the end"


def memory(recipe: Recipe) -> None:
    training = recipe.training
    again = AUTOMATIC[training.activation_checkpointing].lower()
    limit = f"max {words.count(training.max_steps, 'step')}" if training.max_steps else "no step limit"
    packed = f"packing {AUTOMATIC[recipe.data.packing].lower()}"
    with _folded("memory", "Memory and length", f"activation checkpointing {again} · {packed} · {limit}"):
        one, two, three, four = st.columns([1.7, 1.7, 1, 1], gap="small")
        with one:
            recipe_form.choice("training.activation_checkpointing", AUTOMATIC)
        with two:
            recipe_form.choice("data.packing", AUTOMATIC)
        with three:
            recipe_form.number("training.max_steps", step=10, empty="epochs decide")
        with four:
            recipe_form.number("launcher.processes")


def _folded(icon: str, name: str, values: str):
    """A closed section; its key stays the same while the values in its label change, so it does not snap shut."""
    return st.expander(f"{name}\u2002:gray[:small[{values}]]", icon=f":material/{icon}:", key=f"folded:{name}")
