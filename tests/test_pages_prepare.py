"""Model & data and LoRA through the shell, in a process that cannot import torch: choose, prepare, plan, start."""

import signal
import subprocess
import sys

import pytest
from streamlit.testing.v1 import AppTest

from core import home
from core.data.formats.table import FORMATS
from core.data.preview import preparing
from core.data.readers.table import READERS
from core.errors import DataError
from core.feedback import Answer, give
from core.files import write_whole
from core.hardware import Machine
from core.home import ROOT
from core.jobs import launcher, process
from core.jobs.folder import Job
from core.jobs.listing import all_jobs
from core.jobs.status import Status
from core.jobs.worker import Worker
from core.recipe import Recipe
from core.recipe_data import Source
from core.recipe_yaml import load, to_yaml
from core.recipe_yaml import with_values as changed
from studio.uploads import keep_upload, safe_stem
from tests.toy_prepared import make_prepared

HEAVY = ("torch", "transformers", "peft", "trl", "datasets")
NASTY = "<script>alert(1)</script> [x](javascript:alert(1)) :red[y] $z$"
GIB = 2**30


@pytest.fixture(autouse=True)
def studio_home(tmp_path, monkeypatch):
    """An empty home; whatever a test has started there ends with the test."""
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
    for package in HEAVY:
        monkeypatch.setitem(sys.modules, package, None)
    yield tmp_path
    for job in all_jobs():
        if job.worker:
            job.worker.kill()


@pytest.fixture
def never_started(monkeypatch):
    """A job's folder is made, its process is not."""
    monkeypatch.setattr(launcher, "_launch", lambda job, token: job)


def opened(page: str) -> AppTest:
    """A new browser tab on this page."""
    app = AppTest.from_file(str(ROOT / "studio" / "app.py"), default_timeout=30).run()
    return app.switch_page(f"../pages/{page}.py").run()


def settings_opened(app: AppTest, source: int = 0) -> AppTest:
    """The popover of a data set is open, as after a click on its button."""
    app.session_state[f"source settings:{source}"] = True
    return app.run()


def edit(values: dict) -> Recipe:
    recipe = changed(load(home.draft_file()) if home.draft_file().exists() else Recipe(), values)
    write_whole(home.draft_file(), to_yaml(recipe))
    return recipe


def on_disk() -> Recipe:
    return load(home.draft_file())


def text_of(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.error, app.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def click(app: AppTest, key: str) -> AppTest:
    return app.button(key=key).click().run()


# Model


def test_the_starter_is_chosen_and_recommended():
    app = opened("model_and_data")
    assert app.button(key="model:starter").label == "Selected"
    assert "Good first run" in text_of(app)


def test_choosing_a_model_is_kept_in_a_new_session():
    click(opened("model_and_data"), "model:Qwen/Qwen3-0.6B")
    assert on_disk().model.source == "Qwen/Qwen3-0.6B"
    assert opened("model_and_data").button(key="model:Qwen/Qwen3-0.6B").label == "Selected"


def test_another_model_does_not_inherit_the_revision_of_the_one_before():
    edit({"model.revision": "abc"})
    click(opened("model_and_data"), "model:Qwen/Qwen3-0.6B")
    assert on_disk().model.revision is None


def test_a_gated_model_offers_its_mirror():
    app = opened("model_and_data")
    assert "lock: Gated" in text_of(app)
    menu = app.menu_button(key="model:meta-llama/Llama-3.2-1B-Instruct")
    assert "unsloth/Llama-3.2-1B-Instruct" in menu.options[1]
    menu.click("mirror").run()
    assert on_disk().model.source == "unsloth/Llama-3.2-1B-Instruct"
    assert "Mirror" in text_of(app)
    app.menu_button(key="model:meta-llama/Llama-3.2-1B-Instruct").click("original").run()
    assert on_disk().model.source == "meta-llama/Llama-3.2-1B-Instruct"


def test_a_chosen_gated_model_shows_the_way_to_its_licence_and_to_the_hub_page(monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    edit({"model.source": "meta-llama/Llama-3.2-1B-Instruct"})
    app = opened("model_and_data")
    assert "Accept its licence, then sign in." in text_of(app)
    app.button(key="gate:sign in").click().run()
    assert [title.value for title in app.title] == ["Hub"]


def test_code_of_a_model_is_switched_on_only_at_a_full_commit_and_with_a_warning():
    edit({"model.source": "me/own"})
    app = opened("model_and_data")
    app.toggle(key="field:model.trust_remote_code").set_value(True).run()
    assert not on_disk().model.trust_remote_code and not app.toggle(key="field:model.trust_remote_code").value
    app.text_input(key="field:model.revision").set_value("a" * 40).run()
    app.toggle(key="field:model.trust_remote_code").set_value(True).run()
    assert on_disk().model.trust_remote_code
    assert f"me/own/tree/{'a' * 40}" in app.warning[0].value
    app.switch_page("../pages/lora.py").run()
    assert "Runs the model's own code" in text_of(app)
    app.switch_page("../pages/model_and_data.py").run()
    click(app, "model:Qwen/Qwen3-0.6B")
    assert not on_disk().model.trust_remote_code and not app.warning


def test_a_model_too_big_for_the_machine_cannot_be_chosen(monkeypatch):
    small = Machine(2, 4 * GIB, 3 * GIB, 100 * GIB, 50 * GIB)
    monkeypatch.setattr("core.hardware.machine", lambda folder: small)
    app = opened("model_and_data")
    assert app.button(key="model:Qwen/Qwen3-4B").disabled
    assert not app.button(key="model:starter").disabled
    assert "Too big" in text_of(app)


def test_filters_narrow_the_cards_and_survive_a_page_switch():
    app = opened("model_and_data")
    app.button_group(key="models:filter").set_value(["No licence needed"]).run()
    assert "Gated" not in text_of(app) and "SmolLM2 360M**" in text_of(app)
    app.switch_page("../pages/lora.py").run()
    app.switch_page("../pages/model_and_data.py").run()
    assert app.button_group(key="models:filter").value == ["No licence needed"]


def test_search_finds_a_model_by_part_of_its_name():
    app = opened("model_and_data")
    app.text_input(key="models:search").set_value("qwen3 1.7").run()
    assert "Qwen3 1.7B" in text_of(app) and "SmolLM2" not in text_of(app)


def test_any_hub_id_can_be_typed_and_used():
    app = opened("model_and_data")
    app.text_input(key="models:search").set_value("someone/their-model").run()
    click(app, "model:typed")
    assert on_disk().model.source == "someone/their-model"
    assert app.text_input(key="models:search").value == ""
    assert "someone/their\\-model" in text_of(app) and "Size unknown" in text_of(app)


def test_a_bad_hub_id_shows_the_sentence_and_changes_nothing():
    app = opened("model_and_data")
    app.text_input(key="models:search").set_value("foo bar/baz").run()
    assert "is no model" in app.error[0].value and "give a Hub id" in app.error[0].value
    assert not home.draft_file().exists()


def test_a_folder_without_weights_shows_the_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    app = opened("model_and_data")
    app.text_input(key="models:search").set_value(str(tmp_path / "empty")).run()
    assert "has no weights" in app.error[0].value


# Data


def test_a_data_set_of_the_catalog_is_added_as_it_is_described_and_removed():
    app = click(opened("model_and_data"), "add:openai/gsm8k")
    added = on_disk().data.sources[1]
    assert (added.source, added.config, added.layout) == ("openai/gsm8k", "main", "question_answer")
    assert added.columns == {"question": "question", "answer": "answer"}
    click(app, "remove source:0")
    assert [source.source for source in on_disk().data.sources] == ["openai/gsm8k"]
    assert app.button(key="remove source:0").disabled  # the last one stays


def test_a_typed_data_set_is_checked_before_it_is_added(tmp_path):
    app = opened("model_and_data")
    app.text_input(key="data:typed").set_value(str(tmp_path / "gone.jsonl")).run()
    assert "is not there" in app.error[0].value
    (tmp_path / "here.jsonl").write_text("{}\n")
    app.text_input(key="data:typed").set_value(str(tmp_path / "here.jsonl")).run()
    click(app, "data:typed add")
    assert on_disk().data.sources[1].source == str(tmp_path / "here.jsonl")


def test_settings_of_a_data_set_are_edited_in_place():
    edit({"data.sources": [{"source": "someone/rows"}]})
    app = settings_opened(opened("model_and_data"))
    app.selectbox(key="field:data.sources.0.layout").set_value("alpaca").run()
    app.number_input(key="field:data.sources.0.limit").set_value(500).run()
    app.text_input(key="column:0:instruction").set_value("question").run()
    source = on_disk().data.sources[0]
    assert (source.layout, source.limit, source.columns) == ("alpaca", 500, {"instruction": "question"})
    app.text_input(key="column:0:instruction").set_value("").run()
    assert on_disk().data.sources[0].columns == {}


def test_the_settings_of_a_data_set_are_drawn_only_while_they_are_open():
    """A browser says of widgets in a closed popover what it last knew, and the next data set in that place would take it."""
    app = opened("model_and_data")
    fields = [widget.key for widget in app.get("number_input") + app.get("select_slider") + app.get("button_group")]
    assert not [key for key in fields if key.startswith("field:data.sources.")]
    app.session_state["source settings:0"] = True
    assert app.run().select_slider(key="field:data.sources.0.bad_rows").value == Source().bad_rows


def test_every_layout_can_be_chosen_and_asks_for_its_own_columns():
    edit({"data.sources": [{"source": "someone/rows"}]})
    app = settings_opened(opened("model_and_data"))
    for name, layout in FORMATS.items():
        app.selectbox(key="field:data.sources.0.layout").set_value(name).run()
        asked = {box.key: box.help for box in app.text_input if (box.key or "").startswith("column:")}
        assert asked == {f"column:0:{part}": help for part, help in layout.HELP.items()}
    assert on_disk().data.sources[0].layout == name and not app.exception


def test_a_template_is_written_in_the_settings_and_can_be_taken_back():
    edit({"data.sources": [{"source": "someone/rows"}]})
    app = settings_opened(opened("model_and_data"))
    assert not [box for box in app.text_area if box.key.endswith(".template")]
    app.selectbox(key="field:data.sources.0.layout").set_value("template").run()
    app.text_area(key="field:data.sources.0.template").set_value("{title}\n\n{body}").run()
    assert on_disk().data.sources[0].template == "{title}\n\n{body}"
    app.selectbox(key="field:data.sources.0.layout").set_value("alpaca").run()
    app.text_area(key="field:data.sources.0.template").set_value("").run()
    assert on_disk().data.sources[0].template is None
    assert not [box for box in app.text_area if box.key.endswith(".template")]


def test_an_upload_is_kept_under_a_name_of_our_own_and_used(studio_home):
    app = opened("model_and_data")
    uploader = app.get("file_uploader")[0]
    uploader.set_value(("../../evil <b>.jsonl", b'{"messages": []}\n', "application/json")).run()
    kept = list((studio_home / "uploads").iterdir())
    assert len(kept) == 1 and on_disk().data.sources[1].source == f"uploads/{kept[0].name}"
    app.run()
    assert len(on_disk().data.sources) == 2  # a rerun does not add it again


def test_several_files_are_uploaded_at_once_each_a_data_set_and_none_twice(studio_home):
    app = opened("model_and_data")
    files = [("one.jsonl", b"1", "application/json"), ("two.csv", b"a,b", "text/csv"), ("void.csv", b"", "text/csv")]
    app.get("file_uploader")[0].set_value(files).run()
    names = [source.source.rpartition("-")[0] for source in on_disk().data.sources[1:]]
    assert names == ["uploads/one", "uploads/two"]
    assert app.toast[0].value.replace("\\", "").startswith("void.csv: The uploaded file is empty")
    app.get("file_uploader")[0].set_value(files[:1]).run()
    assert len(on_disk().data.sources) == 3
    assert app.toast[0].value.replace("\\", "") == "one.jsonl is there already."


def test_feedback_is_offered_with_its_counts_and_added_once():
    for number in range(2):
        give(Answer(f"a{number}", [{"role": "user", "content": "Hi"}], "What?", "starter"), liked=True, correction=None)
    give(Answer("a2", [{"role": "user", "content": "Hi"}], "What?", "starter"), liked=False, correction="Hello.")
    app = opened("model_and_data")
    assert "Answers 2 liked, 1 corrected" in [caption.value for caption in app.caption]
    app = click(app, "add:feedback/chat.jsonl")
    assert on_disk().data.sources[1].source == "feedback/chat.jsonl"
    assert "3 rows: 2 liked, 1 corrected" in [caption.value.replace("\\", "") for caption in app.caption]
    left = {button.key for button in app.button}
    assert "add:feedback/chat.jsonl" not in left and "add:feedback/chat-pairs.jsonl" in left


@pytest.mark.parametrize("suffix", READERS)
def test_an_upload_of_every_kind_is_used_under_its_ending(studio_home, suffix):
    app = opened("model_and_data")
    app.get("file_uploader")[0].set_value((f"faq{suffix}", b"x", "application/octet-stream")).run()
    kept = on_disk().data.sources[1].source
    assert kept.startswith("uploads/faq-") and kept.endswith(suffix) and (studio_home / kept).read_bytes() == b"x"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("faq.jsonl", "faq"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.jsonl", "boot"),
        ("..", "data"),
        (".jsonl", "data"),
        ("", "data"),
        ("a\x00b\n.jsonl", "a-b"),
        ("x" * 500 + ".jsonl", "x" * 60),
        ("наши данные.jsonl", "наши-данные"),
        ("Мой файл №2 (новый).csv", "Мой-файл-No2-новый"),
        ("हिन्दी के सवाल.csv", "हिन्दी-के-सवाल"),
        ("한국어 데이터.jsonl", "한국어-데이터"),
        ("数" * 60 + ".jsonl", "数" * 40),
        ("🙂🙂.jsonl", "data"),
        ("<script>.jsonl", "script"),
        ("Für Müller & Größe.csv", "Fuer-Mueller-Groesse"),
        ("mu\u0308sli café.csv", "muesli-cafe"),
    ],
)
def test_an_uploads_own_name_never_becomes_a_path(tmp_path, studio_home, name, stem):
    assert safe_stem(name) == stem
    (tmp_path / "source").write_bytes(b"{}\n")
    with (tmp_path / "source").open("rb") as file:
        kept = keep_upload(file, name)
    path = (studio_home / kept).resolve()
    assert path.parent == studio_home / "uploads" and path.read_bytes() == b"{}\n"


def test_an_empty_upload_is_refused_and_leaves_nothing(tmp_path, studio_home):
    (tmp_path / "source").touch()
    with (tmp_path / "source").open("rb") as file, pytest.raises(DataError, match="empty"):
        keep_upload(file, "x.jsonl")
    assert list((studio_home / "uploads").iterdir()) == []


# Preparation


def test_prepare_starts_a_job_and_shows_its_progress(never_started):
    app = click(opened("model_and_data"), "prepare")
    job = preparing(on_disk() if home.draft_file().exists() else Recipe())
    assert job.kind == "prepare" and not app.exception
    assert app.button(key="preparing:stop") and app.get("progress")


def test_a_live_preparation_can_be_stopped(never_started):
    job = launcher.start(Recipe(), "prepare")
    worker = subprocess.Popen(["sleep", "600"], start_new_session=True)
    process.write(job.files.process, process.born(worker.pid))
    Worker(job).phase("preparing")
    click(opened("model_and_data"), "preparing:stop")
    assert worker.wait(timeout=5) == -signal.SIGTERM


def test_a_failed_preparation_says_why_as_text(never_started):
    job = launcher.start(Recipe(), "prepare")
    Worker(job).finish("failed", f"line 3: {NASTY}.")
    app = opened("model_and_data")
    assert "line 3" in app.error[0].value and "\\<script\\>" in app.error[0].value
    assert app.button(key="prepare")


def test_an_uploaded_file_is_found_again_once_it_is_prepared(studio_home):
    (studio_home / "uploads").mkdir()
    (studio_home / "uploads" / "a.jsonl").write_text("{}\n")
    make_prepared(edit({"data.sources": [{"source": "uploads/a.jsonl"}]}))
    app = opened("model_and_data")
    assert app.metric and "a.jsonl" in text_of(app)


def test_other_data_is_not_shown_as_prepared():
    make_prepared(Recipe())
    edit({"data.max_length": 512})
    app = opened("model_and_data")
    assert not app.metric and "Not prepared yet" in text_of(app)


# LoRA


def test_the_plan_is_about_until_the_data_is_prepared():
    app = opened("lora")
    assert "about **18** · 1 epoch" in text_of(app)
    make_prepared(Recipe())
    app = opened("lora")
    assert "**1** · 1 epoch" in text_of(app) and "3 rows to train on" in text_of(app)


def test_unknown_data_is_to_be_prepared_first():
    edit({"data.sources": [{"source": "someone/rows"}]})
    assert "prepare the data to count" in text_of(opened("lora"))


def test_changing_the_rank_changes_the_plan():
    app = opened("lora")
    assert "**4.9M** · 3.6%" in text_of(app)
    app.select_slider(key="field:lora.rank").set_value(32).run()
    assert "**9.8M** · 7.3%" in text_of(app)


def test_the_draft_survives_a_new_session_and_a_page_switch():
    app = opened("lora")
    app.number_input(key="field:training.batch").set_value(2).run()
    app.text_input(key="field:name").set_value("my first").run()
    app.switch_page("../pages/model_and_data.py").run()
    app.switch_page("../pages/lora.py").run()
    assert app.number_input(key="field:training.batch").value == 2
    again = opened("lora")
    assert again.number_input(key="field:training.batch").value == 2
    assert again.text_input(key="field:name").value == "my first"
    assert "2 × 4 = **8 examples per step**" in text_of(again)


MAX_TOKENS = {"lora": "field:lora:data.max_length", "model_and_data": "field:data.max_length"}


def test_a_field_on_two_pages_shows_the_draft_on_each_however_often_they_change():
    edit({"data.max_length": 768})
    app = opened("model_and_data")
    for page in ("lora", "model_and_data", "lora", "model_and_data"):
        app.switch_page(f"../pages/{page}.py").run()
        assert app.number_input(key=MAX_TOKENS[page]).value == 768, page
    app.number_input(key=MAX_TOKENS["model_and_data"]).set_value(896).run()
    app.switch_page("../pages/lora.py").run()
    assert app.number_input(key=MAX_TOKENS["lora"]).value == on_disk().data.max_length == 896


def test_a_page_opened_again_tells_the_browser_what_its_fields_hold():
    """The run of a page in between was cut short: the server knows the fields of this one still, the browser does not."""
    app = opened("lora")
    assert not app.run().number_input(key="field:training.batch").proto.set_value
    app.session_state["fact:page"] = "Model & data"
    told = app.run().number_input(key="field:training.batch").proto
    assert told.set_value and told.value == Recipe().training.batch


def test_no_field_has_the_same_key_on_two_pages():
    kinds = ("number_input", "text_input", "text_area", "selectbox", "select_slider", "button_group", "toggle")
    one, other = ({w.key for kind in kinds for w in opened(page).get(kind)} for page in MAX_TOKENS)
    assert set(MAX_TOKENS.values()) <= one | other and one & other == set()


@pytest.mark.parametrize("page", ["model_and_data", "lora"])
def test_every_recipe_field_that_is_shown_has_help(page):
    edit({"data.sources": [{"source": "someone/rows", "layout": "alpaca"}]})
    app = settings_opened(opened(page)) if page == "model_and_data" else opened(page)
    kinds = ("number_input", "text_input", "selectbox", "select_slider", "button_group")
    widgets = [
        widget for kind in kinds for widget in app.get(kind) if (widget.key or "").startswith(("field:", "column:"))
    ]
    assert len(widgets) > (5 if page == "model_and_data" else 15)
    assert [widget.key for widget in widgets if not widget.help] == []


def test_start_makes_a_job_and_opens_train(never_started):
    app = click(opened("lora"), "start")
    (job,) = all_jobs("train")
    assert job.recipe == Recipe() and not app.exception
    assert app.title[0].value != "LoRA"


def test_what_cannot_start_says_why_and_leaves_nothing():
    edit({"model.source": "/no/such/folder"})
    app = click(opened("lora"), "start")
    assert "is not there" in app.error[0].value and app.title[0].value == "LoRA"
    assert all_jobs() == []


def test_settings_of_another_tab_are_shown_before_they_start(never_started):
    app = opened("lora")
    edit({"lora.alpha": 77})
    click(app, "start")
    assert "were changed in another tab" in app.error[0].value and all_jobs("train") == []
    assert app.number_input(key="field:lora.alpha").value == 77
    click(app, "start")
    assert [job.recipe.lora.alpha for job in all_jobs("train")] == [77]


def test_one_s_own_change_starts_at_once(never_started):
    app = opened("lora")
    app.number_input(key="field:lora.alpha").set_value(78)
    click(app, "start")
    assert [job.recipe.lora.alpha for job in all_jobs("train")] == [78]


BEYOND = "this model has 30 layers, 0 to 29, so there is no layer 40."


def test_a_layer_beyond_the_models_last_is_refused_where_it_is_set():
    edit({"lora.first_layer": None})
    app = opened("lora")
    app.number_input(key="field:lora.first_layer").set_value(40).run()
    assert app.toast[0].value.replace("\\", "") == f"lora.first_layer: {BEYOND}"
    assert app.number_input(key="field:lora.first_layer").value is None and on_disk().lora.first_layer is None
    app.number_input(key="field:lora.first_layer").set_value(29).run()
    assert on_disk().lora.first_layer == 29


def test_layers_beyond_the_last_of_a_model_that_was_chosen_later_are_refused_at_the_start():
    edit({"lora.last_layer": 40})
    app = click(opened("lora"), "start")
    assert app.error[0].value.replace("\\", "") == f"lora.last_layer: {BEYOND}" and all_jobs() == []
    app.number_input(key="field:lora.alpha").set_value(8).run()
    assert on_disk().lora.alpha == 8  # another field is not refused for it


def test_while_a_training_is_live_another_is_put_into_the_queue(never_started):
    job = launcher.start(Recipe())
    assert job.status is Status.STARTING
    edit({"name": "second"})
    app = opened("lora")
    assert app.button(key="start").label == "Add to queue" and "my\\-run is training" in text_of(app)
    assert click(app, "start").title[0].value == "second"
    assert [job.name for job in all_jobs("train")] == ["second", "my-run"]


def test_the_same_run_is_not_started_twice(never_started):
    launcher.start(Recipe())
    app = click(opened("lora"), "start")
    assert app.title[0].value == "my\\-run" and len(all_jobs("train")) == 1


def test_a_recipe_file_becomes_the_draft():
    app = opened("lora")
    text = to_yaml(changed(Recipe(), {"lora.rank": 64, "name": "from-file"}))
    app.get("file_uploader")[0].set_value(("r.yaml", text.encode(), "text/yaml")).run()
    assert app.select_slider(key="field:lora.rank").value == 64 and on_disk().name == "from-file"


def test_a_bad_recipe_file_lists_every_problem_and_changes_nothing():
    edit({"lora.rank": 8})
    app = opened("lora")
    bad = b"lora: {rank: 0, rnak: 4}\ntraining: {learning_rate: 50}\n"
    app.get("file_uploader")[0].set_value(("r.yaml", bad, "text/yaml")).run()
    said = app.error[0].value.replace("\\", "")
    assert all(path in said for path in ("lora.rank", "lora.rnak", "training.learning_rate"))
    assert on_disk().lora.rank == 8


def test_a_file_that_is_no_text_is_no_recipe():
    app = opened("lora")
    app.get("file_uploader")[0].set_value(("r.yaml", b"\xff\xfe\x00", "text/yaml")).run()
    assert "not UTF" in app.error[0].value


def test_reset_sets_back_the_page_keeps_model_data_and_name_and_says_so():
    edit({"lora.rank": 8, "name": "kept", "model.source": "Qwen/Qwen3-0.6B", "data.eval_fraction": 0.2})
    edit({"data.max_length": 256, "data.packing": "on"})
    app = click(opened("lora"), "reset")
    data = on_disk().data
    assert (data.eval_fraction, data.max_length, data.packing) == (0.2, Recipe().data.max_length, "auto")
    assert "Max tokens and Packing too" in app.toast[0].value
    assert all("run name, model" in said for said in (app.toast[0].value, app.button(key="reset").help))
    assert (on_disk().lora.rank, on_disk().name, on_disk().model.source) == (16, "kept", "Qwen/Qwen3-0.6B")
    assert app.select_slider(key="field:lora.rank").value == 16


@pytest.mark.parametrize("page", ["model_and_data", "lora"])
def test_a_model_that_reads_less_than_max_tokens_is_warned_about_wherever_that_is_set(page):
    edit({"data.max_length": 8192})
    app = opened(page)
    assert "tokens at most" not in text_of(app)
    app.number_input(key=MAX_TOKENS[page]).set_value(16_384).run()
    assert "reads 8,192 tokens at most; Max tokens is 16,384" in text_of(app)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_epochs_say_that_a_number_of_steps_decides_in_their_place(method):
    edit({"lora.method": method})
    app = opened("lora")
    assert "Max steps decides" not in text_of(app)
    app.number_input(key="field:training.max_steps").set_value(1200).run()
    assert "Max steps decides: 1,200" in [caption.value for caption in app.caption]


def test_pages_read_a_job_that_is_damaged(studio_home):
    job = Job(home.job_folder("20261123-101502-broken"))
    write_whole(job.files.recipe, "name: [x")
    for page in ("model_and_data", "lora"):
        assert not opened(page).exception
