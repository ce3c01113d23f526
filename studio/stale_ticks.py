"""A tick of a page that was left is dropped: a live part's timer may have sent it while another page was being opened.

Streamlit runs the part nevertheless, in the name of the old page. The browser takes that for a change of pages and
empties the new one, which stays blank under its own address (https://github.com/streamlit/streamlit/issues/9080).
"""

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData


def drop_stale_ticks() -> None:
    """For every session of this process, from now on."""
    run = ScriptRunner._run_script

    def run_unless_stale(runner: ScriptRunner, asked: RerunData) -> None:
        if not _is_stale(runner, asked):
            run(runner, asked)

    ScriptRunner._run_script = run_unless_stale


def _is_stale(runner: ScriptRunner, asked: RerunData) -> bool:
    tick = asked.is_auto_rerun and bool(asked.fragment_id_queue)
    return tick and asked.page_script_hash != runner._pages_manager.current_page_script_hash
