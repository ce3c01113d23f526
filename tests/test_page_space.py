"""The files of a Space in the editor, and the models that are offered: without a Hub, in the test's own process."""

import ast

import pytest
from streamlit.testing.v1 import AppTest

from core import home
from core.files import append_line, write_whole
from core.hub.published import published_here
from core.jobs.folder import Job
from core.jobs.kinds import KINDS
from core.recipe import parse
from core.recipe_yaml import to_yaml

MINE = "print('mine')\n"


def editor() -> None:
    import streamlit as st

    from studio.space_editor import edited, space_editor, take_over

    model = st.selectbox("Model", ["ann/bot", "ann/other"])
    made = {"app.py": f"print({model!r})\n", "requirements.txt": "torch\n", "README.md": "# A Space\n"}
    space_editor(model, made)
    st.button("Take over", on_click=take_over, args=(model, {"README.md": "# Theirs\n"}))
    st.text(list(edited(model, made).values()))


def pushed(app: AppTest) -> list[str]:
    """The files as they would be pushed."""
    return ast.literal_eval(app.text[-1].value)


def test_what_a_person_changed_is_kept_for_its_model_until_it_is_undone() -> None:
    app = AppTest.from_function(editor).run()
    app.segmented_control(key="space:shown:app.py").set_value("Edit").run()
    app.text_area(key="space:text:app.py").set_value(MINE).run()
    assert pushed(app) == [MINE, "torch\n", "# A Space\n"]
    app.segmented_control(key="space:shown:app.py").set_value("Preview").run()
    assert MINE.strip() in [code.value for code in app.code]
    app.selectbox[0].set_value("ann/other").run()
    assert pushed(app)[0] == "print('ann/other')\n"
    app.selectbox[0].set_value("ann/bot").run()
    assert pushed(app)[0] == MINE
    app.button(key="space:undo:app.py").click().run()
    assert pushed(app)[0] == "print('ann/bot')\n"
    assert not app.exception


def test_what_stands_in_the_space_comes_into_the_editor() -> None:
    app = AppTest.from_function(editor).run()
    next(button for button in app.button if button.label == "Take over").click().run()
    assert pushed(app)[2] == "# Theirs\n"
    app.segmented_control(key="space:shown:README.md").set_value("Edit").run()
    assert app.text_area(key="space:text:README.md").value == "# Theirs\n"


def test_models_that_were_published_from_here_are_offered_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "publish", "core.hub.publish")
    for number, repository in enumerate(("ann/old", "ann/new", "ann/old", None)):
        job = Job(home.job_folder(f"2026010{number}-000000-bot"))
        write_whole(job.files.recipe, to_yaml(parse({"name": "bot"})))
        append_line(job.files.events, {"time": 1.0, "event": "created", "kind": "publish"})
        if repository:
            append_line(job.files.events, {"time": 2.0, "event": "published", "repository": repository, "commit": "0"})
    assert published_here() == ["ann/old", "ann/new"]
