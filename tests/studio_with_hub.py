"""A studio in a process of its own whose Hub is a local one, for the journeys that sign in, publish, restore."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.inference import process as engine_process
from core.jobs import launcher
from core.jobs.listing import all_jobs
from tests.local_hub import Hub, local_hub
from tools.browser import Studio, studio


@contextmanager
def studio_with_hub(folder: Path, token: str | None = None) -> Iterator[tuple[Hub, Studio]]:
    """The Hub serves `folder/hub`, the studio lives in `folder/studio-home` (as the tests' own $STUDIO_HOME), its words go to
    `folder/studio.log`. Without a token of the machine's nobody is signed in."""
    with local_hub(folder / "hub") as hub:
        environment = hub.environment(folder / "hf-home", token) | {"OMP_NUM_THREADS": "1"}
        with studio(folder / "studio-home", environment, folder / "studio.log") as app:
            try:
                yield hub, app
            finally:
                end_all()


def end_all() -> None:
    """End what was started in this $STUDIO_HOME: the jobs, and the chat engine."""
    for job in all_jobs():
        if job.status.live:
            launcher.end(job, "The test is over.")
    engine_process.stop()


def sign_in(page, token: str) -> None:
    """On the Hub page: type a token and send it."""
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Sign in", exact=True).click()
