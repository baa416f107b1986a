"""Values of options and of the environment that mean nothing: one line, and usage's status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command

HUGE = "9" * 30
USAGE = """expire v --keep-within BAD
expire v --keep-within 3
expire v --keep-last 0
expire v --keep-daily x
create w --version 7
create w --version x
create w --auto-commit -1
create a/b
gc --grace x
gc --grace 1e999
log v --limit -1
log v --limit x
mount v m --log-level x
mount v m --timeout nan
mount v m --timeout -1
mount v m --sub-path ../x
commit v --on-conflict x
reload v --wait inf
umount m --timeout x
queue peek q x
queue len q --partition """.splitlines()
DONE = f"""log v --limit {HUGE}
gc --dry-run --grace {HUGE}d
dict items d {HUGE}
queue peek q {HUGE}""".splitlines()


@pytest.fixture
def made(volfs: Command) -> Command:
    volfs("create", "v")
    volfs("dict", "create", "d")
    volfs("queue", "create", "q")
    (volfs.directory / "m").mkdir()
    return volfs


def test_a_bad_value_of_an_option_is_a_usage_error(made: Command) -> None:
    for line in USAGE:
        said = made(*line.split(" "), status=2).err.splitlines()
        assert len(said) == 1, (line, said)
        assert "unexpected" not in said[0], line


def test_more_than_any_machine_has_is_all_there_is(made: Command) -> None:
    for line in DONE:
        made(*line.split(" "))


def test_a_message_that_is_too_long_is_a_usage_error(made: Command) -> None:
    refused = made("restore", "v", "0", "-m", "x" * 100_000, status=2)
    assert "longer than" in refused.err


@pytest.mark.parametrize("fault", ["x", "a:b:kill", "a:1:explode", ":1:kill", "a:-1:kill", "a:1"])
def test_a_fault_that_is_none_is_told(made: Command, fault: str) -> None:
    # By a process of its own: a forked one has read its environment before.
    for command in (["list"], ["put", "v", __file__, "/f"], ["--help"]):
        done = made.start_alone(*command, VOLFS_FAULT=fault)
        said = done.stderr.decode().splitlines()
        assert done.returncode == 2, said
        assert len(said) == 1, said
        assert f"VOLFS_FAULT={fault}: POINT:COUNT:ACTION is wanted" in said[0]


def test_a_fault_that_is_none_is_told_to_programs(made: Command) -> None:
    code = f"""
import volfs
store = volfs.Volume.from_name("v")
with store.batch_upload() as batch:
    batch.put_file({str(Path(__file__))!r}, "/f")
"""
    done = made.start_alone(code=code, VOLFS_FAULT="x")
    assert done.returncode == 1
    assert b"InvalidError: VOLFS_FAULT=x" in done.stderr


def test_a_shell_that_does_not_complete_is_told(made: Command) -> None:
    refused = made("list", status=2, _VOLFS_COMPLETE="junk")
    assert "_VOLFS_COMPLETE=junk: only the script of `volfs completion` sets this" in refused.err
    assert len(refused.err.splitlines()) == 1


@pytest.mark.parametrize("value", ["file", "/dev/null", "/proc/none", "x" * 5000, "file/below"])
def test_a_directory_that_can_be_none_is_told(made: Command, value: str) -> None:
    (made.directory / "file").touch()
    for name, status in (("VOLFS_STORE", 1), ("VOLFS_RUNTIME_DIR", 1)):
        said = made("mount", "v", "m", status=status, **{name: value}).err.splitlines()
        assert len(said) == 1, said
        assert "unexpected" not in said[0]


@pytest.mark.parametrize("name", ["\r", "x\r\ny", " ", "a 0 b", "\x0b\x0c"])
def test_a_store_has_any_name(volfs: Command, name: str) -> None:
    volfs("create", "--store", name, "v")
    assert volfs("list", "--store", name).lines[0].startswith("v\t")
