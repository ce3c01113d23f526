"""The short version of `benchmarks/chaos.py`: real processes, killed at random moments, alone and in two under torchrun."""

import json
import subprocess
import sys

import pytest

from core.home import ROOT

pytestmark = pytest.mark.process


@pytest.mark.parametrize(("kind", "kills"), [("plain", 3), ("torchrun", 1)])
def test_killed_at_random_moments_a_run_is_never_lost_and_ends_with_the_same_bytes(kind, kills):
    command = [sys.executable, "-m", "benchmarks.chaos", str(kills), "--kinds", kind, "--kills-per-run", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["kills"] == kills
    assert figures["runs_lost"] == 0
    assert figures["runs_equal"] == figures["runs"] > 0
    assert figures["most_steps_repeated_by_a_kill"] <= figures["checkpoint_every"]
