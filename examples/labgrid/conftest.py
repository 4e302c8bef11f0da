"""What the tests need of a place: its console, its power, and the afterglow command that judges."""

import os
import shutil

import pytest


@pytest.fixture
def console(target, power):
    """The board's serial line."""
    return target.get_driver("ConsoleProtocol")


@pytest.fixture
def power(target):
    """The board's power: off at the beginning, and again at the end, also when a test fails."""
    power = target.get_driver("PowerProtocol")
    power.off()
    yield power
    power.off()


@pytest.fixture
def afterglow():
    """The command."""
    command = os.environ.get("LG_AFTERGLOW_COMMAND", "afterglow")
    if not shutil.which(command):
        pytest.fail(f"{command} cannot be run: `make install`, or LG_AFTERGLOW_COMMAND=target/.../afterglow")
    return command


@pytest.fixture
def crashes():
    """How many crashes make a loop."""
    return int(os.environ.get("LG_AFTERGLOW_CYCLES", "100"))
