"""A minute of the campaign of damaged inputs; `make fuzz` runs it for longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from campaign import jobs

from vidpose.cli import cli

TESTS = Path(__file__).parent


def test_the_campaign_runs_every_command():
    run = {jobs.command_of(cli, words) for words in jobs.all_commands()}
    assert not [command.name for command in jobs.program_commands(cli) if command not in run]


@pytest.mark.skipif(sys.platform != "linux", reason="it forks, and reads /proc")
def test_nothing_damaged_ends_in_a_traceback_or_never():
    command = "-m campaign --inputs 120 --options 40 --faults 10 --minutes 1"
    environment = os.environ | {"PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    done = subprocess.run(
        [sys.executable, *command.split()], cwd=TESTS, env=environment, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
