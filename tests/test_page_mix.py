"""The data of the Model & data page through the shell: weights and what they make, columns of a file, tasks, uses."""

import json
import time
from pathlib import Path

import pytest

from core import catalog
from core.data.expected import known_rows
from core.data.preview import prepared_for
from core.files import append_line
from core.plan.forecast import rows_of
from core.recipe import Recipe
from tests.test_pages_prepare import click, edit, on_disk, opened, settings_opened, studio_home, text_of
from tests.toy_prepared import make_prepared

__all__ = ["studio_home"]  # the fixture: pytest looks for it here

NASTY = "<script>alert(1)</script> :red[x] **b**"


def two(**more) -> Recipe:
    starter = {"source": "starter"}
    return edit({"data.sources": [starter, {"source": "openai/gsm8k", "config": "main"}]} | more)


def rows_file(folder, header: str, rows: int = 40) -> str:
    path = folder / "faq.csv"
    path.write_text(header + "\n" + "".join(f"Was ist {n}?,Es ist {n}.,n{n}\n" for n in range(rows)))
    return str(path)


def test_a_data_set_whose_rows_are_known_does_not_say_that_they_are_to_be_counted():
    edit({"data.sources": [{"source": "starter", "weight": 0.5}, {"source": "ann/rows", "weight": 0.5}]})
    said = text_of(opened("model_and_data"))
    assert said.count("its part is known once all are counted") == 1
    assert said.count("its rows are counted when it is prepared") == 1


def test_weights_show_what_becomes_of_each_data_set_while_they_are_edited():
    two()
    app = opened("model_and_data")
    assert "4% of the mix · 285 rows" in text_of(app) and "Every row of every data set once" in text_of(app)
    app.number_input(key="weight:0").set_value(30.0).run()
    assert on_disk().data.sources[0].weight == 0.3
    assert "30% of the mix · 3,042 rows · 0.3M tokens · each row 10.7 times" in text_of(app)
    assert "soon learned by heart" in text_of(app)
    app.number_input(key="weight:1").set_value(70.0).run()
    assert "As many rows as there are" in text_of(app)
    app.selectbox(key="field:data.mixing").set_value("never repeat").run()
    assert on_disk().data.mixing == "never repeat"
    assert "No row is seen twice" in text_of(app) and "soon learned by heart" not in text_of(app)
    app.number_input(key="weight:0").set_value(None).run()
    assert on_disk().data.sources[0].weight is None


def test_one_data_set_has_nothing_to_weigh():
    app = opened("model_and_data")
    assert not [box for box in app.number_input if (box.key or "").startswith("weight:")]
    assert "of the mix" not in text_of(app)


def test_weights_that_leave_nothing_for_the_others_are_refused_and_spring_back():
    two()
    app = opened("model_and_data")
    app.number_input(key="weight:0").set_value(100.0).run()
    assert on_disk().data.sources[0].weight is None and app.number_input(key="weight:0").value is None
    assert "leaves nothing for the data sets without one" in app.toast[0].value


def test_a_weight_of_nothing_is_refused_and_springs_back():
    two(**{"data.sources.0.weight": 0.3})
    app = opened("model_and_data")
    app.number_input(key="weight:0").set_value(0.0).run()
    assert on_disk().data.sources[0].weight == 0.3 and app.number_input(key="weight:0").value == 30
    assert "A weight is more than 0" in app.toast[0].value


def test_rows_are_about_so_many_until_they_are_prepared_under_the_rules_for_cleaning():
    recipe, uncounted = two(), "what cleaning leaves is counted when they are prepared"
    assert uncounted in text_of(opened("model_and_data"))
    make_prepared(recipe)
    assert uncounted not in text_of(opened("model_and_data"))
    edit({"data.cleaning.exact_duplicates": False})
    assert uncounted in text_of(opened("model_and_data"))


def test_tokens_of_the_mix_come_from_what_was_prepared_before():
    make_prepared(two())
    edit({"data.sources.0.weight": 0.5})
    assert "50% of the mix · 4 rows · 28 tokens" in text_of(opened("model_and_data"))


def test_what_was_prepared_from_a_file_counts_until_the_file_changes(tmp_path):
    recipe = edit({"data.sources": [{"source": rows_file(tmp_path, "question,answer,note")}]})
    job = make_prepared(recipe)
    assert prepared_for(recipe) and known_rows(recipe)[0].rows == 4
    time.sleep(0.02)  # a file's times are as coarse as the system's clock ticks
    rows_file(tmp_path, "question,answer,note", rows=30)
    for _ in range(2):
        assert prepared_for(recipe) is None and known_rows(recipe)[0].rows == 30
        append_line(job.files.events, {"time": time.time(), "event": "resuming"})  # with the rows it had


def test_what_was_prepared_from_a_folder_counts_until_a_file_is_taken_out_of_it(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text("question,answer\nWhy?,So.\n")
    recipe = edit({"data.sources": [{"source": str(folder)}]})
    make_prepared(recipe)
    assert prepared_for(recipe)
    time.sleep(0.02)  # a file's times are as coarse as the system's clock ticks
    (folder / "b.csv").unlink()
    assert prepared_for(recipe) is None


def test_what_a_run_that_was_brought_here_has_prepared_counts_though_its_files_came_later(tmp_path):
    recipe = edit({"data.sources": [{"source": rows_file(tmp_path, "question,answer,note")}]})
    events = make_prepared(recipe).files.events
    earlier = [row | {"time": row["time"] - 3600} for row in map(json.loads, events.read_text().splitlines())]
    events.write_text("".join(f"{json.dumps(row)}\n" for row in earlier))
    assert prepared_for(recipe) is None
    append_line(events, {"time": time.time(), "event": "restored"})
    assert prepared_for(recipe)


def test_a_data_set_is_held_out_as_a_whole_and_the_last_one_cannot_be():
    two()
    app = settings_opened(settings_opened(opened("model_and_data"), 1))
    app.segmented_control(key="field:data.sources.1.use").set_value("held_out").run()
    assert on_disk().data.sources[1].use == "held_out" and "held out as a whole" in text_of(app)
    app.segmented_control(key="field:data.sources.0.use").set_value("held_out").run()
    assert on_disk().data.sources[0].use == "train"


def test_a_file_with_columns_of_its_own_is_mapped_with_two_choices(tmp_path):
    edit({"data.sources": [{"source": rows_file(tmp_path, "Frage,Antwort,Notiz")}]})
    app = opened("model_and_data")
    assert "not recognised" in text_of(app) and "fit no layout" in text_of(app)
    app.selectbox(key="column:0:question:Question is in").set_value("Frage").run()
    app.selectbox(key="column:0:answer:Answer is in").set_value("Antwort").run()
    assert on_disk().data.sources[0].columns == {"question": "Frage", "answer": "Antwort"}
    assert ":blue-badge[question_answer]" in text_of(app) and "fit no layout" not in text_of(app)
    settings_opened(app)
    assert app.selectbox(key="column:0:answer:Column: answer").value == "Antwort"
    assert app.dataframe[0].value.iloc[0].tolist() == ["Was ist 0?", "Es ist 0.", "n0"]


def test_a_file_is_read_like_the_known_data_set_that_has_its_columns(tmp_path):
    row = {"question": "Why?", "context": ["A."], "long_answer": "So.", "final_decision": "yes"}
    file = tmp_path / "pubmed.jsonl"
    file.write_text((json.dumps(row) + "\n") * 20)
    edit({"data.sources": [{"source": str(file)}]})
    app = settings_opened(opened("model_and_data"))
    like = app.selectbox(key="read like:0")
    assert like.options == ["PubMedQA"] and like.value is None
    like.set_value("PubMedQA").run()
    known, taken = catalog.dataset("qiaojin/PubMedQA"), on_disk().data.sources[0]
    assert (taken.layout, taken.columns) == (known.layout, known.columns)
    assert taken.answer_template == known.answer_template and app.selectbox(key="read like:0").value == "PubMedQA"
    app.selectbox(key="read like:0").set_value(None).run()
    assert on_disk().data.sources[0].layout == "auto" and not on_disk().data.sources[0].columns


def test_a_file_like_no_known_data_set_offers_none(tmp_path):
    edit({"data.sources": [{"source": rows_file(tmp_path, "Frage,Antwort,Notiz")}]})
    assert "read like:0" not in [box.key for box in settings_opened(opened("model_and_data")).selectbox]


@pytest.mark.parametrize(("letters", "tokens"), [(0, 30), (300, 130), (50_000, 1024)])
def test_a_file_is_planned_by_the_length_of_its_first_rows_and_not_as_if_all_were_full(tmp_path, letters, tokens):
    path = tmp_path / "rows.csv"
    path.write_text("question,answer\n" + f"Why?,So.{'.' * letters}\n" * 40)
    recipe = edit({"data.sources": [{"source": str(path)}], "data.max_length": 1024})
    assert rows_of(recipe).tokens_per_row == pytest.approx(tokens, rel=0.2)


def test_rows_that_do_not_fit_are_said_beside_the_layout(tmp_path):
    path = rows_file(tmp_path, "question,answer,note")
    Path(path).write_text(Path(path).read_text() + "Only a question,,x\n" * 10)
    edit({"data.sources": [{"source": path}]})
    shown = text_of(settings_opened(opened("model_and_data")))
    assert "question_answer · 80% fit" in shown and "line 42" in shown


def test_markup_in_a_file_is_shown_as_text(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f"{NASTY},b\nx,{NASTY}\n")
    edit({"data.sources": [{"source": str(path)}]})
    assert "<script>" not in text_of(settings_opened(opened("model_and_data")))


def test_preference_data_says_what_is_done_with_it(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"}\n' * 3)
    edit({"data.sources": [{"source": str(path)}]})
    assert "the rejected ones are not used" in text_of(opened("model_and_data"))


def test_tasks_of_legalbench_are_added_each_as_a_data_set_of_its_own():
    app = opened("model_and_data")
    app.multiselect(key="tasks:nguha/legalbench").set_value(["hearsay", "overruling"]).run()
    click(app, "add:nguha/legalbench")
    added = on_disk().data.sources[1:]
    assert [source.config for source in added] == ["hearsay", "overruling"]
    assert all("{text}" in source.template for source in added)
    assert "LegalBench · Overruling" in text_of(app) and "2,394 rows" in text_of(app)


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_a_system_prompt_is_given_to_a_data_set(mode):
    app = settings_opened(opened("model_and_data"))
    app.text_area(key="field:data.sources.0.system").set_value("Be brief.").run()
    app.segmented_control(key="field:data.sources.0.system_mode").set_value(mode).run()
    source = on_disk().data.sources[0]
    assert (source.system, source.system_mode) == ("Be brief.", mode)
