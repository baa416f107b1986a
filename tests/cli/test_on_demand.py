"""Commands are loaded when they are wanted, and no sooner."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from volfs_cli.main import cli
from volfs_cli.on_demand import OnDemand


@pytest.mark.parametrize("group", [cli, cli.commands["volume"]])
def test_each_command_has_the_name_that_it_is_found_by(group: click.Group) -> None:
    assert len(group.commands) > 20
    for name, command in group.commands.items():
        assert command.name == name
        assert group.commands[name] is command


def test_one_command_loads_its_own_module() -> None:
    program = (
        "import sys\n"
        "from volfs_cli.main import run\n"
        "assert run(['commit', '--help']) == 0\n"
        "print(*(name for name in sys.modules if name.startswith('volfs_cli')), file=sys.stderr)\n"
    )
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, check=True, cwd="/", capture_output=True, text=True)
    loaded = set(done.stderr.split())
    assert "volfs_cli.mounts" in loaded
    assert loaded.isdisjoint(f"volfs_cli.{name}" for name in ("buckets", "serving", "secrets"))


def test_commands_are_a_mapping_in_order() -> None:
    commands = OnDemand({"gc": "care:gc"})
    commands["mine"] = click.Command("mine")
    commands.add({"log": "history:log"})
    assert list(commands) == ["gc", "mine", "log"]
    assert commands["gc"].name == "gc"
    assert "nothing" not in commands
    assert commands.get("nothing") is None
    del commands["mine"]
    assert len(commands) == 2
