"""What ``--help``, ``help`` and the manual say of the commands."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from zipfile import ZipFile

from tests.cli.conftest import ROOT, Command
from volfs_cli.main import cli
from volfs_cli.manual import write_manual
from volfs_cli.topics import COMMANDS, EVERY_DAY, TOPICS


def test_each_command_has_one_whole_line_below_one_heading(volfs: Command) -> None:
    listed = [name for topic in COMMANDS for name in topic.commands]
    assert sorted(listed) == sorted(cli.commands)
    lines = volfs("--help").lines
    assert max(map(len, lines)) <= 80
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options:", "Every day:", *(f"{topic.title}:" for topic in COMMANDS)]
    at = lines.index("Every day:")
    assert tuple(line.split()[0] for line in lines[at + 1 : at + 4]) == EVERY_DAY
    for name in listed:
        (line,) = (line for line in lines if line.startswith(f"  {name} "))
        assert "..." not in line


def test_help_of_topics_and_commands(volfs: Command) -> None:
    assert volfs("help").out == volfs("-h").out
    assert volfs("help", "mount").out == volfs("mount", "--help").out
    assert volfs("help", "bucket", "ls").out == volfs("bucket", "ls", "--help").out
    for name, topic in TOPICS.items():
        first, *rest = volfs("help", name).lines
        assert first == topic.title
        assert {line.split()[0] for line in rest if line.startswith("  ")} == set(topic.commands)
    wrong = volfs("help", "mont", status=2).err
    assert "no command or topic 'mont'; is it mount or umount or mounts?" in wrong
    assert "no command or topic 'x'" in volfs("help", "bucket", "x", status=2).err


def test_the_manual_says_the_same(tmp_path: Path) -> None:
    pages = {path.name: path.read_text() for path in write_manual(cli, "1.2", tmp_path)}
    assert {"volfs.1", "volfs-mount.8", "volfs-umount.8", "volfs-bucket-ls.1"} <= pages.keys()
    assert len(pages) > len(cli.commands)
    assert '.TH "VOLFS MOUNT" "8"' in pages["volfs-mount.8"]
    assert "volfs\\-mount\\fP(8)" in pages["volfs.1"]
    for name, page in pages.items():
        parts = [line for line in page.splitlines() if line.startswith(".SH")]
        assert parts[:3] == [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION"], name
        known = (".TH", ".SH", ".SS", ".PP", ".TP", ".B ")
        asked = [line for line in page.splitlines() if line.startswith((".", "'"))]
        assert all(line.startswith(known) for line in asked), name


def test_a_wheel_has_the_manual(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("volfs", "cli"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = ["uv", "build", "-q", "--wheel", "-o", str(tmp_path), str(source)]
    subprocess.run(build, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name.partition(".data/data/")[2] for name in ZipFile(wheel).namelist()}
    assert {"share/man/man1/volfs.1", "share/man/man8/volfs-mount.8"} <= names
