"""The plan's arithmetic: against numbers counted by hand, and never less for more."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from core import catalog, said_plan
from core.hardware import Gpu, Machine
from core.models.known_shape import shape_of
from core.models.shape import shape_in
from core.plan.fits import fit
from core.plan.fixes import changed, smallest_fix
from core.plan.memory_plan import PARTS, memory
from core.plan.pace import Pace, usual_pace
from core.plan.setting import Setting, as_asked
from core.plan.settled import recomputes, setting
from core.plan.time_plan import backward_flops, batch_seconds, forward_flops, step_seconds
from core.plan.trainable import trainable_of
from core.plan.workload import Batch, Workload, assumed
from core.recipe import Recipe, parse
from core.training.micro_batch import MicroBatch
from core.training.presets import PRESETS
from tests.toy_model import make_toy_model

GIB = 2**30
T4 = Machine(2, 13 * GIB, 11 * GIB, 100 * GIB, 50 * GIB, gpus=(Gpu("Tesla T4", 15 * GIB, 14_900 * 2**20, 0.0, (7, 5)),))
LAPTOP = Machine(2, 16 * GIB, 12 * GIB, 100 * GIB, 50 * GIB)
TOY = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "intermediate_size": 12,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 32,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
}
# q 8x8, k and v 8x4, o 8x8, gate and up 8x12, down 12x8, in two layers.
TOY_LINEAR = 2 * (64 + 32 + 32 + 64 + 96 + 96 + 96)


def toy(precision="fp32", device="cpu", **sections) -> Setting:
    return Setting(parse(sections), shape_in(TOY), device, precision)


def work(tokens=10, labels=6, longest=5) -> Workload:
    batch = Batch(tokens, labels, longest)
    return Workload(batch, batch, counted=True)


def test_a_cpu_that_imitates_bf16_is_planned_with_its_slow_products(monkeypatch):
    def planned(imitates: bool, precision: str) -> Setting:
        recipe = parse({"training": {"precision": precision}})
        return as_asked(recipe, replace(LAPTOP, cpu_imitates_bf16=imitates))

    pace = usual_pace(LAPTOP)
    slow, fast = (step_seconds(planned(imitates, "bf16"), work(), pace) for imitates in (True, False))
    assert slow > 3 * fast
    assert not planned(True, "auto").imitated
    monkeypatch.setattr("core.said_plan.machine", lambda _: replace(LAPTOP, cpu_imitates_bf16=True))
    said = said_plan.page(said_plan.figures(parse({"training": {"precision": "bf16"}})))
    assert "\nWarning       This CPU has no instructions for bf16" in said


def test_a_toy_shape_is_counted_by_hand():
    shape = shape_in(TOY)
    assert (shape.head_dim, shape.queries, shape.keys) == (4, 8, 4)
    assert shape.linear_parameters == TOY_LINEAR
    assert shape.parameters == TOY_LINEAR + 32 * 8 + 5 * 8  # an embedding, two norms a layer and the last
    # Rank 4 beside each: 4 * (inputs + outputs).
    assert trainable_of(parse({"lora": {"rank": 4}}).lora, shape) == 2 * 4 * (16 + 12 + 12 + 16 + 20 + 20 + 20)
    assert trainable_of(parse({"lora": {"method": "full"}}).lora, shape) == shape.parameters


@pytest.mark.parametrize(
    ("source", "rank", "trainable"),
    [
        ("starter", 16, 4_884_480),
        ("meta-llama/Llama-3.2-1B", 16, 11_272_192),
        ("meta-llama/Llama-3.1-8B", 16, 41_943_040),
    ],
)
def test_known_models_have_as_many_trained_weights_as_peft_prints(source, rank, trainable):
    assert trainable_of(parse({"lora": {"rank": rank}}).lora, catalog.model(source)) == trainable


@pytest.mark.parametrize(
    ("optimizer", "each"), [("auto", 8), ("adamw", 8), ("adamw_8bit", 2), ("paged_adamw_8bit", 2), ("sgd", 0)]
)
def test_weights_gradients_and_optimizer_are_bytes_times_parameters(optimizer, each):
    asked = toy(lora={"method": "full"}, training={"optimizer": optimizer})
    plan, parameters = memory(asked, work()), asked.shape.parameters
    assert (plan.weights, plan.trained, plan.gradients) == (4 * parameters, 0, 4 * parameters)
    assert plan.optimizer == each * parameters


def test_adafactor_keeps_rows_and_columns_only():
    plan = memory(toy(lora={"rank": 4}, training={"optimizer": "adafactor"}), work())
    assert plan.optimizer == 4 * 2 * sum(inputs + outputs + 8 for inputs, outputs in shape_in(TOY).projections.values())


@pytest.mark.parametrize(("method", "bits"), [("qlora", 4.127), ("qlora8", 8.02)])
def test_only_projections_shrink_and_the_rest_is_fp32(method, bits):
    shape = shape_in(TOY)
    plan = memory(toy(lora={"method": method}), work())
    assert plan.weights == round(TOY_LINEAR * bits / 8) + 4 * (shape.parameters - TOY_LINEAR)


def test_an_adapter_in_half_precision_is_there_twice():
    assert memory(toy("bf16"), work()).trained * 4 == memory(toy("fp32"), work()).trained * 6


def test_several_processes_on_a_cpu_share_one_memory():
    one, two = (memory(toy(launcher={"processes": number}), work()) for number in (1, 2))
    assert two.weights == 2 * one.weights and two.peak_bytes == pytest.approx(2 * one.peak_bytes, rel=0.01)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_to_stay_near_the_start_is_to_hold_its_weights_and_to_go_through_it(method):
    near, alone = (toy(lora={"method": method}, training={"objective": name}) for name in ("dpo", "orpo"))
    plans = [memory(asked, work()) for asked in (near, alone)]
    assert plans[0].trained - plans[1].trained == 4 * near.trainable
    assert plans[0].gradients == plans[1].gradients and plans[0].loss == plans[1].loss
    pace = Pace(1e9, 1e9, 1e9)
    once = batch_seconds(near, work().usual, pace, learning=False)  # for each of the four batches of a step
    assert step_seconds(near, work(), pace) - step_seconds(alone, work(), pace) == pytest.approx(4 * once)


def test_pairs_make_their_logits_a_few_at_a_time_and_several_processes_all_at_once():
    pairs = {"objective": "orpo"}
    one, two = (toy(training=pairs, launcher={"processes": number}) for number in (1, 2))
    words, hidden = 32, 8
    assert memory(one, work()).loss == 6 * (words * 4 + hidden * 4 * 2)
    assert memory(two, work()).loss == 2 * words * (10 * 8 + 6 * 8)
    long = work(tokens=4000, labels=2000)
    assert memory(one, long).loss == 512 * words * 4 + 2000 * hidden * 4 * 2


def test_the_logits_of_pairs_are_made_again_for_their_gradient():
    pairs, answers = (toy(training={"objective": name}) for name in ("orpo", "sft"))
    batch = work().usual
    assert forward_flops(pairs, batch) == forward_flops(answers, batch)
    assert backward_flops(pairs, batch) - backward_flops(answers, batch) == 2 * 8 * 32 * batch.labels


def test_both_conversations_of_a_pair_are_in_its_batch():
    recipe = parse({"training": {"objective": "dpo", "batch": 2}, "data": {"max_length": 100}})
    assert assumed(recipe).largest == assumed(recipe).usual == Batch(400, 200, 100)
    assert assumed(recipe, tokens_per_row=90).usual == Batch(180, 90, 45)
    assert assumed(recipe, tokens_per_row=500).usual.tokens == 400  # each is cut for itself


def test_recomputing_keeps_an_input_of_each_layer_and_one_layer():
    on, off = (memory(toy(training={"activation_checkpointing": word}), work()) for word in ("on", "off"))
    assert on.activations < off.activations and on.peak_bytes < off.peak_bytes


@pytest.mark.parametrize(
    ("source", "length", "again"),
    [("starter", 1024, False), ("meta-llama/Llama-3.2-3B", 2048, True), ("of an unknown shape", 1024, True)],
)
def test_a_gpu_computes_again_only_what_it_has_no_room_to_keep(source, length, again):
    recipe = parse({"model": {"source": source}, "data": {"max_length": length}, "training": {"batch": 4}})
    assert recomputes(recipe, T4) is again
    assert recomputes(recipe, LAPTOP) is False  # slower there, and so only where it is asked for
    for word in ("on", "off"):
        asked = changed(recipe, {"training.activation_checkpointing": word})
        assert recomputes(asked, T4) is (word == "on")


def test_what_another_holds_of_a_gpu_is_no_room_to_keep_activations_in():
    recipe = parse({"model": {"source": "meta-llama/Llama-3.2-1B"}, "training": {"batch": 2}})
    assert recomputes(recipe, T4) is False
    assert recomputes(recipe, T4, room_bytes=6e9) is True
    assert setting(recipe, T4, room_bytes=6e9).recomputes is True


def test_a_gpu_that_was_too_small_computes_again_before_it_does_less_at_once():
    cut = MicroBatch(4, 2, recomputes=False)
    assert cut.smaller() == MicroBatch(2, 4, False)
    assert cut.smaller(again_first=True) == MicroBatch(4, 2, True)
    assert MicroBatch(4, 2, True).smaller(again_first=True) == MicroBatch(2, 4, True)


LARGER = {"lora.rank": (1, 256), "training.batch": (1, 64), "data.max_length": (16, 8192)}


@given(
    path=some.sampled_from(sorted(LARGER)),
    share=some.tuples(some.floats(0, 1), some.floats(0, 1)),
    method=some.sampled_from(["lora", "qlora", "dora", "full"]),
    machine=some.sampled_from([T4, LAPTOP]),
    again=some.sampled_from(["on", "off"]),
    dropout=some.sampled_from([0.0, 0.1]),
)
def test_more_rank_batch_or_length_never_needs_less_memory_or_time(path, share, method, machine, again, dropout):
    low, high = LARGER[path]
    less, more = sorted(round(low + (high - low) * part) for part in share)
    start = parse(
        {
            "model": {"source": "starter"},
            "lora": {"method": method, "dropout": dropout},
            "training": {"activation_checkpointing": again},
        }
    )
    one, other = (setting(changed(start, {path: value}), machine) for value in (less, more))
    memories = [memory(asked, assumed(asked.recipe)).peak_bytes for asked in (one, other)]
    seconds = [batch_seconds(asked, assumed(asked.recipe).usual, Pace(1e11, 1e10, 1e6)) for asked in (one, other)]
    assert memories[0] <= memories[1] and seconds[0] <= seconds[1]


def test_every_part_of_every_known_model_is_a_size():
    for model in catalog.models():
        plan = memory(setting(parse({"model": {"source": model.source}}), T4), work(1000, 500, 500))
        assert all(getattr(plan, part) >= 0 for part in PARTS)


def preset_on(source: str, length: int) -> Recipe:
    (preset,) = (preset for preset in PRESETS if "T4" in preset.name)
    return changed(parse({"model": {"source": source}, "data": {"max_length": length}}), preset.changes)


def test_the_t4_preset_plans_under_15_gb_for_llama_3b_at_2048():
    recipe = preset_on("meta-llama/Llama-3.2-3B-Instruct", 2048)
    assert memory(setting(recipe, T4), assumed(recipe)).peak_bytes < 15e9
    without = changed(recipe, {"lora.method": "lora", "training.activation_checkpointing": "off"})
    assert memory(setting(without, T4), assumed(without)).peak_bytes > 15e9


@pytest.mark.parametrize("machine", [T4, LAPTOP], ids=["t4", "laptop"])
@pytest.mark.parametrize("source", ["starter", "meta-llama/Llama-3.2-1B", "meta-llama/Llama-3.2-3B"])
@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("objective", ["sft", "dpo"])
def test_the_smallest_fix_really_fits(machine, source, method, objective):
    recipe = parse(
        {
            "model": {"source": source},
            "data": {"max_length": 8192},
            "lora": {"method": method},
            "training": {"batch": 32, "objective": objective},
        }
    )

    def needed(other: Recipe) -> int:
        return memory(setting(other, machine), assumed(other)).peak_bytes

    assert needed(recipe) > machine.memory_bytes
    fix = smallest_fix(recipe, machine.memory_bytes, machine.device, needed)
    mended = changed(recipe, fix.changes)
    assert needed(mended) == fix.needed_bytes <= machine.memory_bytes
    assert mended.contradictions() == []


def test_a_smaller_batch_is_the_first_thing_to_change_and_trains_the_same():
    recipe = parse({"training": {"batch": 8, "accumulation": 2}})
    needed = {8: 10, 4: 6, 2: 4, 1: 3}
    fix = smallest_fix(recipe, 6, "cuda", lambda other: needed[other.training.batch])
    assert fix.changes == {"training.batch": 4, "training.accumulation": 4}
    assert changed(recipe, fix.changes).effective_batch() == recipe.effective_batch()


def test_where_nothing_helps_there_is_no_fix():
    assert smallest_fix(parse({}), 100, "cuda", lambda other: 101) is None


@pytest.mark.parametrize(
    ("source", "machine", "word"),
    [
        ("starter", LAPTOP, "fits"),
        ("meta-llama/Llama-3.2-1B", LAPTOP, "fits"),
        ("meta-llama/Llama-3.1-8B", T4, "qlora"),
        ("meta-llama/Llama-3.2-3B", T4, "fits"),
        ("Qwen/Qwen3-4B", Machine(2, 3 * GIB, 2 * GIB, 100 * GIB, 50 * GIB), "too big"),
        ("someone/unknown", LAPTOP, None),
    ],
)
def test_a_model_fits_by_a_small_training(source, machine, word):
    assert fit(source, machine) == word


def test_flops_are_two_a_weight_and_token_and_as_much_backwards():
    asked = toy(lora={"rank": 4, "targets": ["q_proj"]})
    batch, adapter = Batch(10, 0, 5), 2 * 4 * 16
    attention = 4 * 2 * 8 * 2.5 * 10  # scores and sums, two layers, eight numbers, half of five tokens before
    assert forward_flops(asked, batch) == 2 * (TOY_LINEAR + adapter) * 10 + attention
    assert backward_flops(asked, batch) == 2 * TOY_LINEAR * 10 + 2.5 * attention + 4 * adapter * 10


def test_a_folder_tells_its_shape_and_a_strange_one_does_not(tmp_path):
    folder = make_toy_model(tmp_path / "toy")
    shape = shape_of(str(folder))
    assert (shape.hidden_size, shape.layers, shape.kv_heads, shape.head_dim) == (64, 2, 2, 16)
    (folder / "config.json").write_text('{"model_type": "mamba", "hidden_size": 64}')
    assert shape_of(str(folder)) is None
    assert shape_in({"model_type": "llama", "hidden_size": 64}) is None and shape_in(None) is None
