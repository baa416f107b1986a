"""A name belongs to an environment: for every command, mounts included."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.harness.mounted import is_running, wait_until
from volfs.control.mounts import find_mount_point

with_mounts = [
    pytest.mark.fuse,
    pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="no /dev/fuse"),
]
Mount = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def own_configuration(volfs: Command) -> None:
    volfs.environment["VOLFS_CONFIG_PATH"] = str(volfs.directory / "config.toml")
    for name in ("VOLFS_ENVIRONMENT", "MODAL_ENVIRONMENT", "VOLFS_SECRET_KEY_FILE"):
        volfs.environment.pop(name, None)


@pytest.fixture
def two(volfs: Command) -> Command:
    """A store with ``x`` in ``main`` and in ``prod``; its file ``/f`` says where it is."""
    for environment in ("main", "prod"):
        volfs("create", "-e", environment, "x")
        volfs("put", "-e", environment, "x", "-", "/f", stdin=environment.encode())
    return volfs


def read(volfs: Command, environment: str, name: str = "x") -> bytes:
    return volfs("get", "-e", environment, name, "/f", "-").out


def names(volfs: Command, *args: str) -> set[str]:
    found = volfs("list", "--all-environments", "--json", *args).json
    return {f"{row['environment']}/{row['name']}" for row in found}


# --- files and history ------------------------------------------------------


def test_each_command_acts_in_its_environment(two: Command) -> None:
    volfs = two
    for arguments in (
        ["put", "x", "-", "/g"], ["cp", "x", "/g", "/h"], ["mv", "x", "/h", "/i"],
        ["tag", "x", "stays"], ["rm", "x", "/g"], ["restore", "x", "1", "-m", "again"],
        ["volume", "put", "x", "-", "/new"],
    ):  # fmt: skip
        volfs(*arguments, "-e", "prod")
    assert (read(volfs, "main"), read(volfs, "prod")) == (b"main", b"prod")
    assert volfs("ls", "x").lines == ["f"]
    assert volfs("ls", "-e", "prod", "x").lines == ["f", "new"]
    assert volfs("ls", "prod/x", "--at", "stays").lines == ["f", "g", "i"]
    assert len(volfs("log", "x", "--json").json) == 1
    assert len(volfs("log", "prod/x", "--json").json) == 7
    assert volfs("diff", "x", "0", MODAL_ENVIRONMENT="prod").lines == ["A f", "A new"]
    assert volfs("info", "x", "-e", "prod", "--json").json["environment"] == "prod"
    volfs("expire", "prod/x", "--keep-last", "1", "--keep-tagged")
    assert len(volfs("log", "x", "--json").json) == 1
    assert len(volfs("log", "prod/x", "--json").json) == 2
    assert "no version 99" in volfs("ls", "prod/x", "--at", "99", status=1).err
    assert "`volfs log prod/x`" in volfs("ls", "prod/x", "--at", "99", status=1).err


def test_delete_and_rename_act_in_their_environment(two: Command) -> None:
    volfs = two
    volfs("delete", "-y", "-e", "prod", "x")
    assert names(volfs) == {"main/x"}
    said = volfs("volume", "delete", "-y", "x", "--env", "prod", status=1).err
    assert said.startswith("volfs: delete: x: no such volume in environment 'prod'")
    volfs("delete", "-y", "--allow-missing", "-e", "prod", "x")
    assert read(volfs, "main") == b"main"
    volfs("rename", "-y", "x", "prod/y")
    assert names(volfs) == {"prod/y"}
    volfs("rename", "-y", "prod/y", "z")
    assert names(volfs) == {"prod/z"}
    assert volfs("fork", "prod/z", "main/x").lines == [
        "Created Volume 'x' from version 1 of 'prod/z'."
    ]
    volfs("fork", "-e", "prod", "z", "x")
    assert names(volfs) == {"prod/z", "prod/x", "main/x"}
    assert read(volfs, "main") == read(volfs, "prod") == b"main"


def test_which_environment_is_in_force(two: Command) -> None:
    """The argument, then the variables, then the configuration, then main."""
    volfs = two
    assert volfs("get", "x", "/f", "-").out == b"main"
    volfs("config", "set-environment", "prod")
    assert volfs("get", "x", "/f", "-").out == b"prod"
    assert volfs("get", "x", "/f", "-", MODAL_ENVIRONMENT="main").out == b"main"
    variables = {"MODAL_ENVIRONMENT": "prod", "VOLFS_ENVIRONMENT": "main"}
    assert volfs("get", "x", "/f", "-", **variables).out == b"main"
    assert volfs("get", "x", "/f", "-", "-e", "prod", **variables).out == b"prod"
    assert volfs("get", "prod/x", "/f", "-", **variables).out == b"prod"
    assert volfs("config", "show", "--json").json["environment"] == "prod"
    Path(volfs.environment["VOLFS_CONFIG_PATH"]).write_text("environmnt = 'prod'\n")
    assert "environmnt: only `environment = " in volfs("list", status=2).err
    volfs("list", "-e", "prod")


@pytest.mark.parametrize("name", ["a b", "../x", "-", "en-1", "é", "x" * 65, "a/b", "a\n"])
def test_a_bad_environment_is_refused(two: Command, name: str) -> None:
    before = names(two)
    for arguments in (["list"], ["create", "y"], ["delete", "-y", "x"], ["dict", "create", "d"]):
        said = two(*arguments, "-e", name, status=2).err
        assert "Invalid Environment name" in said
        assert len(said.splitlines()) == 1
    assert two("environment", "create", "--", name, status=2).err.startswith("volfs: environment")
    assert names(two) == before


def test_what_is_said_twice_must_agree(two: Command) -> None:
    assert "-e says another environment" in two("ls", "-e", "main", "prod/x", status=2).err
    assert two("ls", "-e", "prod", "prod/x").lines == ["f"]
    said = two("list", "-e", "prod", "--all-environments", status=2).err
    assert "exclude each other" in said
    for arguments in (["gc"], ["check"], ["rebuild-index"], ["secret", "rotate-key"]):
        two(*arguments, "-e", "prod", status=2)


def test_lists_are_of_one_environment(two: Command) -> None:
    volfs = two
    volfs("nfs", "create", "-e", "prod", "n")
    (row,) = volfs("list", "--json").json
    assert (row["name"], row["environment"]) == ("x", "main")
    assert [line.split("\t")[0] for line in volfs("list", "-e", "prod").lines] == ["x"]
    assert len(volfs("list", "--all-environments").lines) == 2
    assert volfs("list", "-e", "none").lines == volfs("nfs", "list").lines == []
    assert volfs("nfs", "list", "-e", "prod", "--json").json[0]["name"] == "n"
    assert "is new" not in volfs("create", "-e", "prod", "y").err
    assert volfs("create", "-e", "tset", "y").err == "volfs: the environment 'tset' is new\n"


def test_other_kinds_too(volfs: Command) -> None:
    """What is of one kind and name in two environments is two things."""
    for environment, value in (("main", "1"), ("prod", "2")):
        at = ("-e", environment)
        said = volfs("secret", "create", *at, "s", f"A={value}").out.decode()
        named = "" if environment == "main" else ', environment_name="prod"'
        assert f'Secret.from_name("s"{named})' in said
        volfs("nfs", "create", *at, "n")
        volfs("nfs", "put", *at, "n", "-", "/f", stdin=value.encode())
        for kind in ("dict", "queue"):
            volfs(kind, "create", *at, "q")
    for kind, name in (("nfs", "n"), ("dict", "q"), ("queue", "q"), ("secret", "s")):
        listed = (kind, "list", "-e", "main", "--json")
        before = volfs(*listed).json
        assert [row["name"] for row in before] == [name]
        volfs(kind, "delete", "-y", "-e", "prod", name)
        assert volfs(*listed).json == before
        assert volfs(kind, "list", "-e", "prod", "--json").json == []
        assert volfs(kind, "delete", "-y", "-e", "prod", name, status=1).err
    assert volfs("nfs", "get", "n", "/f", "-").out == b"1"


# --- environments themselves ------------------------------------------------


def test_an_environment_is_made_renamed_and_deleted(two: Command) -> None:
    volfs = two
    assert volfs("environment", "create", "empty").lines == ["Environment created: empty"]
    assert "already exists" in volfs("environment", "create", "prod", status=1).err
    for kind, name, *more in (
        ("nfs", "n"), ("dict", "d"), ("queue", "q"), ("secret", "s", "A=secret")
    ):  # fmt: skip
        volfs(kind, "create", "-e", "prod", name, *more)
    listed = {row["name"]: row for row in volfs("environment", "list", "--json").json}
    assert listed.keys() == {"main", "prod", "empty"}
    assert listed["main"]["active"]
    kinds = ("volumes", "network_file_systems", "dicts", "queues", "secrets")
    assert [listed["prod"][kind] for kind in kinds] == [1, 1, 1, 1, 1]
    volfs("environment", "update", "prod", "--set-name", "live")
    assert names(volfs) == {"main/x", "live/x"}
    assert read(volfs, "live") == b"prod"
    assert volfs("run", "-e", "live", "--secret", "s", "--", "sh", "-c", "echo $A").lines == [
        "secret"
    ]
    assert volfs("dict", "list", "-e", "live", "--json").json[0]["name"] == "d"
    said = volfs("environment", "delete", "live", status=1).err
    assert "1 Dict, 1 NetworkFileSystem, 1 Queue, 1 Secret, 1 Volume?" in said
    assert "Rerun with --yes" in said
    assert read(volfs, "live") == b"prod"
    volfs("environment", "delete", "-y", "live")
    volfs("environment", "delete", "empty")
    assert [row["name"] for row in volfs("environment", "list", "--json").json] == ["main"]
    assert read(volfs, "main") == b"main"
    for status, *refused in (
        (2, "delete", "-y", "main"), (2, "update", "main", "--set-name", "y"),
        (1, "delete", "-y", "none"), (1, "update", "none", "--set-name", "y"),
        (2, "create", "v1.0"), (2, "update", "none"),
    ):  # fmt: skip
        said = volfs("environment", *refused, status=status).err
        assert said.startswith("volfs: environment ")
    volfs("check", "--read-data")


def test_an_environment_that_is_there_is_no_new_name(two: Command) -> None:
    two("dict", "create", "-e", "dev", "d")
    for new in ("dev", "main"):
        said = two("environment", "update", "prod", "--set-name", new, status=1).err
        assert f"Environment '{new}' already exists" in said
    assert names(two) == {"main/x", "prod/x"}


def test_renaming_that_was_interrupted_is_gone_on_with(two: Command) -> None:
    two("secret", "create", "-e", "prod", "s", "A=secret")
    at = "environment.moved:1:kill"
    two("environment", "update", "prod", "--set-name", "live", status=-signal.SIGKILL,
        VOLFS_FAULT=at)  # fmt: skip
    assert names(two) == {"main/x", "prod/x"}
    said = two("environment", "update", "main2", "--set-name", "live", status=1).err
    assert "not found" in said
    two("create", "-e", "dev", "z")
    said = two("environment", "update", "dev", "--set-name", "live", status=1).err
    assert "already exists" in said
    two("environment", "update", "prod", "--set-name", "live")
    assert names(two) == {"main/x", "live/x", "dev/z"}
    row = next(r for r in two("environment", "list", "--json").json if r["name"] == "live")
    assert (row["volumes"], row["secrets"]) == (1, 1)
    said = two("environment", "update", "prod", "--set-name", "live", status=1).err
    assert "not found" in said


def test_a_store_that_was_rebuilt_has_its_environments(two: Command) -> None:
    two("rename", "-y", "x", "dev/y")
    two("tag", "prod/x", "stays")
    for file in (two.store / "index").iterdir():
        file.unlink()
    found = two("rebuild-index", "--json").json["recovered"]
    assert {(row["environment"], row["volume"]) for row in found} == {("dev", "y"), ("prod", "x")}
    assert names(two) == {"dev/y", "prod/x"}
    assert (read(two, "dev", "y"), read(two, "prod")) == (b"main", b"prod")
    assert two("ls", "prod/x", "--at", "stays").lines == ["f"]


# --- mounts -----------------------------------------------------------------


@pytest.fixture
def mount(two: Command, tmp_path: Path) -> Iterator[Mount]:
    """Mounts a volume of an environment at a place of its own, with an uncommitted file ``w``."""
    places: list[Path] = []

    def mount(environment: str, name: str = "x") -> Path:
        place = tmp_path / f"mnt{len(places)}"
        place.mkdir()
        two("mount", "-e", environment, name, place)
        places.append(place)
        (place / "w").write_bytes(b"12345")
        return place

    yield mount
    for place in places:
        if find_mount_point(str(place)):
            two("umount", place)


def version_of(volfs: Command, place: Path) -> tuple[int, int]:
    (row,) = volfs("status", place, "--json").json
    return row["version"], row["dirty_bytes"]


@pytest.mark.fuse
def test_a_mount_by_name_is_of_the_environment(two: Command, mount: Mount) -> None:
    volfs, main, prod = two, mount("main"), mount("prod")
    assert (prod / "f").read_bytes() == b"prod"
    volfs("commit", "x", "-e", "prod")
    assert version_of(volfs, main) == (1, 5)
    assert version_of(volfs, prod) == (2, 0)
    assert volfs("ls", "x").lines == ["f"]
    volfs("commit", "x", VOLFS_ENVIRONMENT="prod")
    volfs("put", "prod/x", "-", "/new")
    volfs("reload", "-e", "prod", "x")
    assert (prod / "new").exists()
    assert version_of(volfs, main) == (1, 5)
    rows = volfs("status", "--json").json
    mine = {row["mountpoint"]: row for row in rows if row["store"] == str(volfs.store)}
    assert mine[str(prod)]["environment"] == "prod"
    assert mine[str(prod)]["volume"] == mine[str(main)]["volume"] == "x"
    (row,) = volfs("status", "x", "-e", "prod", "--json").json
    assert row["mountpoint"] == str(prod)
    assert str(main) not in {r["mountpoint"] for r in volfs("status", "-e", "prod", "--json").json}
    source = find_mount_point(str(prod))
    assert source is not None
    assert source.source == "prod/x"
    assert f"mounted at {prod}" in volfs("delete", "-y", "-e", "prod", "x", status=1).err
    said = volfs("environment", "delete", "-y", "prod", status=1).err
    assert f"prod/x: mounted at {prod}" in said
    volfs("umount", "--discard", "-e", "prod", "x")
    assert version_of(volfs, main) == (1, 5)
    assert not find_mount_point(str(prod))
    for command in (["umount"], ["umount", "--force"], ["commit"], ["reload"], ["status"]):
        assert "in environment 'prod'" in volfs(*command, "x", "-e", "prod", status=1).err
        said = volfs(*command, "x", "-e", "none", status=1).err
        assert "environment 'main' has one: -e main" in said
    assert version_of(volfs, main) == (1, 5)


@pytest.mark.fuse
def test_a_mount_point_called_as_its_volume(two: Command) -> None:
    """A bare word is not a mount of the same name that another environment has."""
    volfs = two
    place = volfs.directory / "x"
    place.mkdir()
    volfs("mount", "x", place)
    try:
        (place / "w").write_bytes(b"main")
        for environment in ("none", "prod"):
            for command in (
                ["umount"], ["umount", "--discard"], ["umount", "--force"], ["commit"],
                ["reload"], ["status"],
            ):  # fmt: skip
                refused = volfs(*command, "x", "-e", environment, status=1)
                assert "./x is the mount point" in refused.err, command
        assert (place / "w").read_bytes() == b"main"
        volfs("commit", "x")
    finally:
        volfs("umount", "./x", "-e", "none")
    assert volfs("ls", "x").lines == ["f", "w"]


@pytest.mark.fuse
def test_a_mount_stays_with_its_volume(two: Command, mount: Mount) -> None:
    """Which it is, its id says: whatever it and its environment are called meanwhile."""
    volfs, main, prod = two, mount("main"), mount("prod")
    volfs("environment", "update", "prod", "--set-name", "live")
    volfs("commit", "x", "-e", "live")
    assert version_of(volfs, main) == (1, 5)
    volfs("rename", "-y", "live/x", "dev/y")
    (row,) = volfs("status", "y", "-e", "dev", "--json").json
    assert (row["mountpoint"], row["environment"]) == (str(prod), "dev")
    volfs("create", "-e", "prod", "x")
    assert "nor a mounted volume" in volfs("commit", "x", "-e", "prod", status=1).err
    volfs("umount", "y", "-e", "dev")
    assert volfs("ls", "dev/y").lines == ["f", "w"]
    assert volfs("ls", "prod/x").lines == []


@pytest.mark.fuse
def test_what_a_dead_mount_left_is_of_its_environment(two: Command, mount: Mount) -> None:
    volfs, main, prod = two, mount("main"), mount("prod")
    (row,) = volfs("status", prod, "--json").json
    with (prod / "w").open("rb") as file:
        os.fsync(file.fileno())
    os.kill(row["pid"], signal.SIGKILL)
    wait_until(lambda: not is_running(row["pid"]), "the daemon to be gone")
    (left,) = volfs("overlays", "-e", "prod", "--json").json
    assert (left["volume"], left["environment"], left["state"]) == ("x", "prod", "dead")
    (silent,) = volfs("status", "-e", "prod", "--json").json
    assert (silent["volume"], silent["state"]) == ("x", "dead")
    assert (
        "changes that are not committed"
        in volfs("environment", "delete", "-y", "prod", status=1).err
    )
    for arguments in (["commit"], ["discard"], ["adopt", "there"], ["export", "there"]):
        command, *others = arguments
        for where in (["-e", "main", command], [command, "-e", "main"]):
            refused = volfs("overlays", *where, left["name"], *others, status=2)
            assert "it is in environment 'prod', and -e says 'main'" in refused.err
    volfs("overlays", "commit", "-e", "prod", left["name"])
    assert volfs("ls", "prod/x").lines == ["f", "w"]
    assert volfs("ls", "x").lines == ["f"]
    assert version_of(volfs, main) == (1, 5)


@pytest.mark.fuse
def test_a_container_has_its_environment(two: Command) -> None:
    script = (
        "cat /d/f; echo new >/d/g; echo $VOLFS_ENVIRONMENT $MODAL_ENVIRONMENT; volfs get x /f -"
    )
    volfs = two
    out = volfs(
        "run", "-e", "prod", "--volume", "x:/d", "--", "sh", "-c", script.partition("; v")[0]
    )
    assert out.lines == ["prodprod prod"]
    both = volfs(
        "run", "--volume", "x:/d", "--volume", "prod/x:/p", "--", "sh", "-c", "cat /d/f /p/f"
    )
    assert both.out == b"mainprod"
    assert volfs("ls", "prod/x").lines == ["f", "g"]
    assert volfs("ls", "x").lines == ["f"]
    volfs("run", "--create", "--volume", "new/x:/d", "--", "touch", "/d/g")
    assert volfs("ls", "new/x").lines == ["g"]
    said = volfs("run", "-e", "prod", "--fork", "--volume", "x:/d", "--", "rm", "/d/g").err
    assert "Changes of prod/x go to its fork x-" in said
    shown, merged, dropped = (
        line.partition("  volfs ")[2].split() for line in said.splitlines()[1:]
    )
    assert volfs(*shown).lines == ["D g"]
    assert merged == ["merge", shown[1]]
    assert volfs("log", shown[1], "--json").json[0]["message"] == "run: rm /d/g"
    volfs(*dropped)
    assert volfs("ls", "prod/x").lines == ["f", "g"]
    assert (
        "cannot be mounted in two places"
        in volfs(
            "run", "--volume", "prod/x:/d", "--volume", "prod/x:/e", "--", "true", status=2
        ).err
    )
