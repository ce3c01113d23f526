"""Several values of a setting: a run for each, named by it; all of them, or none."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from core import command_parts, follow, home
from core.errors import JobError, ModelError, RecipeError, StudioError
from core.hardware import Machine
from core.jobs import launcher, tries
from core.jobs.listing import all_jobs
from core.jobs.preflight import LEAST_FREE_BYTES
from core.jobs.worker import Worker
from core.plan.plan import disk_bytes
from core.recipe import NAME_PATTERN, Recipe, parse
from studio.tries_popover import SETTINGS
from tests.test_pages_prepare import GIB, click, edit, never_started, opened, studio_home, text_of

__all__ = ["never_started", "studio_home"]  # fixtures

RATE = "training.learning_rate"
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def names(recipe: Recipe, settings: dict) -> list[str]:
    return [one.name for one in tries.recipes(recipe, settings)]


def test_each_value_is_a_run_that_differs_in_nothing_else():
    found = tries.recipes(Recipe(), {RATE: [1e-4, 0.0005, 0.01]})
    assert [one.training.learning_rate for one in found] == [1e-4, 5e-4, 0.01]
    assert [one.name for one in found] == [f"my-run learning rate {said}" for said in ("1e-4", "5e-4", "0.01")]
    for one in found:
        assert one.model_copy(update={"name": "my-run", "training": Recipe().training}) == Recipe()


def test_several_settings_are_tried_in_every_combination():
    found = tries.recipes(Recipe(), tries.asked([f"{RATE}=1e-4,2e-4", "lora.rank=8, 16"]))
    assert [(one.training.learning_rate, one.lora.rank) for one in found] == [
        (1e-4, 8), (1e-4, 16), (2e-4, 8), (2e-4, 16),
    ]  # fmt: skip
    assert found[1].name == "my-run learning rate 1e-4 rank 16"


def test_a_value_given_twice_is_tried_once_and_lists_and_none_are_values():
    assert names(Recipe(), {"lora.rank": [8, 8, 16]}) == ["my-run rank 8", "my-run rank 16"]
    assert names(Recipe(), tries.asked(["lora.targets=attention,[q_proj, v_proj]", "training.neftune=null"])) == [
        "my-run targets attention neftune none",
        "my-run targets q_proj v_proj neftune none",
    ]
    assert names(Recipe(), {"lora.method": ["lora", "lora+"]}) == ["my-run method lora", "my-run method lora plus"]
    assert names(Recipe(), {"data.sources[0].limit": [10, 20]}) == ["my-run limit 10", "my-run limit 20"]


def test_one_value_written_in_two_ways_is_tried_once():
    assert names(Recipe(), tries.asked([f"{RATE}=1e-4,0.0001", "training.epochs=1,1.0"])) == [
        "my-run learning rate 1e-4 epochs 1"
    ]
    assert names(Recipe(), {RATE: [3e-4, "0.0003"]}) == ["my-run learning rate 3e-4"]


def test_a_setting_given_twice_has_the_values_of_both():
    assert names(Recipe(), tries.asked(["lora.rank=8", "lora.rank=16"])) == ["my-run rank 8", "my-run rank 16"]


def test_names_that_are_cut_off_where_they_differ_are_numbered():
    asked = [f"{RATE}=1e-4", "training.weight_decay=0.01", "training.label_smoothing=0,0.1"]
    assert names(Recipe(), tries.asked(asked)) == [
        f"my-run learning rate 1e-4 weight decay 0.01 l {number}" for number in (1, 2)
    ]


def test_a_long_name_still_says_what_is_tried():
    assert names(parse({"name": "a" * 60}), {RATE: [1e-4]}) == ["a" * 41 + " learning rate 1e-4"]


@pytest.mark.parametrize(
    ("values", "several", "said"),
    [
        ({"lora": {"method": "full"}}, ["lora.rank=8,16"], "lora.rank: lora.method full trains the whole model"),
        ({}, ["lora.method=lora,full", "lora.alpha=8,16"], "lora.alpha: lora.method full trains the whole model"),
        ({"training": {"max_steps": 5}}, ["training.epochs=1,2"], "training.epochs: training.max_steps decides"),
        ({}, ["training.beta=0.1,0.2"], "training.beta: only a training on pairs reads it"),
    ],
)
def test_values_that_would_all_give_the_same_run_are_refused_with_the_reason(never_started, values, several, said):
    with pytest.raises(RecipeError, match=rf"{said}.*would give the same run"):
        tries.start(parse(values), tries.asked(several))
    assert len(tries.start(parse(values), tries.asked([one.partition(",")[0] for one in several]))) == 1


def test_room_on_the_disk_is_looked_for_for_all_of_a_set(never_started, monkeypatch):
    one = disk_bytes(parse({})) + LEAST_FREE_BYTES
    here = Machine(2, 16 * GIB, 12 * GIB, 100 * GIB, one)
    monkeypatch.setattr("core.jobs.preflight.machine", lambda _: here)
    with pytest.raises(JobError, match="these 2 runs need about"):
        tries.start(Recipe(), {RATE: [1e-4, 2e-4]})
    assert all_jobs() == []
    assert len(tries.start(Recipe(), {RATE: [1e-4]})) == 1


def test_each_is_backed_up_in_a_repository_of_its_own():
    recipe = parse({"checkpoints": {"hub_backup": "ann/backup"}})
    backups = [one.checkpoints.hub_backup for one in tries.recipes(recipe, {"lora.rank": [8, 16]})]
    assert backups == ["ann/backup-1", "ann/backup-2"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["lora.rank"], "names nothing to try: write key.path=value,value"),
        (["lora.rank= "], "names nothing to try"),
        (["lora.rank=8,0"], "lora.rank: "),
        (["lora.colour=red,blue"], "lora.colour"),
        (["name.first=a,b"], "there is nothing called 'first'"),
        (["training.seed=" + ",".join(map(str, range(17)))], "These would be 17 runs, and 16 at once are the most"),
        (["lora.rank=[8"], "not YAML"),
        (["lora.rank=2026-11-27"], "lora.rank: "),
        ([f"{RATE}=.nan,.inf"], f"{RATE}: "),
        (
            [f"lora.{name}={','.join(map(str, range(1, 1000)))}" for name in ("rank", "alpha", "first_layer")],
            "997,002,999",
        ),
    ],
)
def test_what_cannot_be_tried_is_said(texts, said):
    with pytest.raises(RecipeError, match=re.escape(said)):
        tries.recipes(Recipe(), tries.asked(texts))


@given(path=st.sampled_from([RATE, "lora.targets", "lora", "data.sources", "name"]) | st.text(), values=st.lists(JSON))
def test_any_values_give_runs_with_good_names_or_a_sentence(path, values):
    try:
        found = tries.recipes(Recipe(), {path: values})
    except RecipeError:
        return
    assert all(re.fullmatch(NAME_PATTERN, one.name) for one in found)


@given(st.text())
def test_any_text_gives_runs_with_good_names_or_a_sentence(values):
    try:
        found = tries.recipes(Recipe(), tries.asked([f"data.sources[0].split={values}"]))
    except RecipeError:
        return
    assert all(re.fullmatch(NAME_PATTERN, one.name) for one in found)


def test_none_is_started_where_one_could_not_begin(never_started, tmp_path):
    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="nowhere"):
        tries.start(Recipe(), {"model.source": ["starter", nowhere]})
    assert all_jobs() == []


def test_none_is_started_where_the_backup_of_one_is_another_run_s(never_started):
    recipe = parse({"checkpoints": {"hub_backup": "ann/backup"}})
    first, second = tries.start(recipe, {"lora.rank": [8, 16]})
    assert {job.id for job in tries.start(recipe, {"lora.rank": [8, 16]})} == {first.id, second.id}
    Worker(first).finish("failed", "Before it reached the Hub.")
    with pytest.raises(JobError, match="ann/backup-2 is for the backup of"):
        tries.start(recipe, {"lora.rank": [32, 64]})
    assert len(all_jobs()) == 2


def test_the_command_line_follows_all_and_says_what_each_reached(never_started, monkeypatch, capsys):
    jobs = tries.start(Recipe(), {"lora.rank": [8, 16]})

    def done(job, quiet):
        Worker(job).metric(step=1, loss=1.5, elapsed_s=1.0)
        Worker(job).metric(step=1, held_out_loss=1.25)
        Worker(job).finish("finished" if job is jobs[0] else "failed", "Over.")

    monkeypatch.setattr(follow, "follow", done)
    with pytest.raises(StudioError, match=f"Not finished: {jobs[1].id}"):
        command_parts.watch_all(jobs, detach=False, as_json=False)
    reached = "".join(f"{job.id}  loss 1.500  held-out loss 1.250\n" for job in jobs)
    assert capsys.readouterr().out == f"Over.\n{reached}"
    command_parts.watch_all(jobs, detach=True, as_json=True)
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == [job.id for job in jobs]


def test_ctrl_c_stops_those_behind_as_well(never_started, monkeypatch):
    jobs, stopped = tries.start(Recipe(), {"lora.rank": [8, 16, 32]}), []

    def interrupted(job, quiet):
        raise KeyboardInterrupt

    def stop(job):
        stopped.append(job.id)
        Worker(job).finish("stopped", "Stopped.")

    monkeypatch.setattr(follow, "follow", interrupted)
    monkeypatch.setattr(launcher, "stop", stop)
    with pytest.raises(StudioError, match="Not finished"):
        command_parts.watch_all(jobs, detach=False, as_json=False)
    assert stopped == [jobs[1].id, jobs[2].id, jobs[0].id]


# On the page


def tries_opened(app: AppTest | None = None, is_open: bool = True) -> AppTest:
    """The page with its popover open, or closed, as after a click on its button."""
    app = app or opened("lora")
    app.session_state["tries"] = is_open
    return app.run()


def test_every_setting_that_can_be_tried_has_good_values():
    for path, choice in SETTINGS.items():
        assert len(tries.recipes(parse({"data": {"max_length": 512}}), {path: choice.values})) == len(choice.values)


def test_several_values_are_chosen_started_and_shown_side_by_side(never_started):
    app = tries_opened()
    assert app.button(key="tries:start").disabled
    key = f"tries:values:{RATE}"
    app.multiselect(key=key).set_value([1e-4, 2e-4, "3e-4"]).run()
    assert "my-run learning rate 3e-4" in text_of(app).replace("\\", "")
    assert app.button(key="tries:start").label == "Start 3 runs"
    click(app, "tries:start")
    jobs = all_jobs("train")
    assert sorted(job.recipe.training.learning_rate for job in jobs) == [1e-4, 2e-4, 3e-4]
    assert app.title[0].value == "Runs" and not app.exception
    assert {job.id for job in jobs} == set(app.session_state["fact:jobs"])


def test_no_number_that_is_offered_begins_as_another_one_that_may_be_typed(studio_home):
    """The page takes the first that begins so: 128 for a typed 12."""
    offered = tries_opened().multiselect(key=f"tries:values:{RATE}").options
    assert offered and not [label for label in offered if label[0].isascii()]
    assert SETTINGS["lora.rank"].label("12") == "12" and SETTINGS["lora.method"].label("lora") == "LoRA"


def test_a_value_that_is_refused_is_said_and_nothing_starts(never_started):
    app = tries_opened()
    app.selectbox(key="tries:setting").select("lora.rank").run()
    app.multiselect(key="tries:values:lora.rank").set_value([8, "many"]).run()
    assert "lora.rank: " in text_of(app).replace("\\", "") and not app.exception
    assert app.button(key="tries:start").disabled and not home.jobs_folder().exists()


def test_a_chosen_value_survives_another_draft(never_started):
    edit({"lora.rank": 12})
    app = tries_opened()
    app.selectbox(key="tries:setting").select("lora.rank").run()
    app.multiselect(key="tries:values:lora.rank").set_value([8, 12]).run()
    app.select_slider(key="field:lora.rank").set_value(64).run()
    assert not app.exception and app.button(key="tries:start").label == "Start 2 runs"


def test_what_is_sure_not_to_fit_is_not_started(never_started, monkeypatch):
    edit({"lora.method": "full", "training.batch": 1})
    small = Machine(2, 3 * GIB, 2 * GIB, 100 * GIB, 50 * GIB)
    monkeypatch.setattr("core.hardware.machine", lambda folder: small)
    app = tries_opened()
    app.multiselect(key=f"tries:values:{RATE}").set_value([1e-4, 2e-4]).run()
    start = app.button(key="tries:start")
    assert (start.disabled, start.help) == (True, "One of them does not fit: take it out.")


def test_epochs_are_not_tried_where_steps_decide(studio_home):
    edit({"training.max_steps": 10})
    assert "Epochs" not in tries_opened().selectbox(key="tries:setting").options


def test_what_is_not_chosen_follows_the_draft_and_what_is_stays(studio_home):
    app = tries_opened(tries_opened(), is_open=False)
    assert "tries:setting" not in [box.key for box in app.selectbox]
    app.select_slider(key=f"field:{RATE}").set_value(5e-4).run()
    chosen = tries_opened(app).multiselect(key=f"tries:values:{RATE}")
    assert chosen.value == [5e-4]
    chosen.set_value([5e-4, "7e-4"]).run()
    tries_opened(app, is_open=False).select_slider(key=f"field:{RATE}").set_value(1e-3).run()
    assert tries_opened(app).multiselect(key=f"tries:values:{RATE}").value == [5e-4, "7e-4"]


def test_settings_of_an_adapter_are_not_tried_where_there_is_none(studio_home):
    edit({"lora.method": "full"})
    offered = tries_opened().selectbox(key="tries:setting").options
    assert "Method" in offered and "Batch" in offered and not {"Rank", "Alpha", "Dropout"} & set(offered)
