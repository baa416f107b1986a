"""The steps of the tour, in their order: each says what it runs, and what came of it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bench.tour import Demo, check, compare_attributes, count_files, is_running, say

VOLUME = "demo"
ENTRIES_MAX = 32_768
BUSY_STATUS = 16
MORE_TREES = ("/usr/lib/python3", "/usr/share", "/usr/include", "/usr/lib")
MIB = 1 << 20


def gather_a_tree(demo: Demo) -> None:
    """A real tree and a large file to put into the volume"""
    tree = demo.source / "tree"
    tree.mkdir(parents=True)
    files = 0
    for found in find_pieces(find_trees(), sys.maxsize if demo.is_whole else demo.files):
        demo.run("cp", "-a", found, tree)
        files = count_files(tree)
        if files >= demo.files:
            break
    check(files >= demo.files, f"only {files:,} files were found, {demo.files:,} are wanted")
    with (demo.source / "big.bin").open("wb") as big:
        for _ in range(demo.big):
            big.write(os.urandom(MIB))
    say(f"{files:,} files in {tree}, and a file of {demo.big:,} MiB")


def find_pieces(trees: Iterable[Path], most: int) -> Iterator[Path]:
    """Trees of at most so many files; of a larger one, those that are in it."""
    for tree in trees:
        if count_files(tree) <= most:
            yield tree
        else:
            inner = (path for path in tree.iterdir() if path.is_dir() and not path.is_symlink())
            yield from find_pieces(sorted(inner), most)


def find_trees() -> Iterator[Path]:
    """Python's library with its packages, then other trees that systems have."""
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    seen: list[Path] = []
    for key in ("stdlib", "platstdlib", "purelib", "platlib"):
        path = Path(sysconfig.get_path(key, vars=base))
        if path.is_dir() and not any(path.is_relative_to(other) for other in seen):
            seen.append(path)
            yield path
    yield from (Path(path) for path in MORE_TREES if Path(path).is_dir())


def create_and_mount(demo: Demo) -> None:
    """A volume, mounted twice"""
    demo.run("volfs", "create", VOLUME)
    for path in (demo.one, demo.two):
        path.mkdir()
        started = time.perf_counter()
        demo.run("volfs", "mount", VOLUME, path)
        say(f"answered after {time.perf_counter() - started:.2f} s")
        check(os.path.ismount(path), f"{path} is not a mount point")


def copy_the_tree(demo: Demo) -> None:
    """The tree goes in through the first mount"""
    demo.run("cp", "-a", demo.source / "tree", demo.one)


def copy_the_big_file(demo: Demo) -> None:
    """The large file, too"""
    demo.run("cp", "-a", demo.source / "big.bin", demo.one)
    check(os.listdir(demo.two) == [], "the other mount sees what is not committed")
    say("the other mount is still empty")


def commit_all(demo: Demo) -> None:
    """Commit"""
    demo.run("volfs", "commit", demo.one, "-m", "a tree and a large file")
    check(os.listdir(demo.two) == [], "the other mount sees a commit before its reload")


def reload_the_other(demo: Demo) -> None:
    """Reload of the other mount"""
    demo.run("volfs", "reload", demo.two)
    check(sorted(os.listdir(demo.two)) == ["big.bin", "tree"], "it does not show the commit")


def compare_trees(demo: Demo) -> None:
    """Every file and every attribute is the same there"""
    demo.run("diff", "-r", "--no-dereference", demo.source / "tree", demo.two / "tree")
    compared = compare_attributes(demo.source / "tree", demo.two / "tree")
    say(f"no difference; mode, owner, size and times of {compared:,} names are the same")


def compare_big_files(demo: Demo) -> None:
    """And every byte of the large file"""
    demo.run("cmp", demo.source / "big.bin", demo.two / "big.bin")
    say("no difference")


def edit_some_files(demo: Demo) -> None:
    """Some changes, and a commit of them"""
    for root in (demo.source, demo.one):
        change(root)
    for number in range(0, demo.big, 64):
        page = os.urandom(4096)
        for root in (demo.source, demo.one):
            write_at(root / "big.bin", number * MIB + 12_345, page)
    said = demo.ask("volfs", "commit", demo.one, "-m", "some changes")
    say(f"version {said['version']}: {said['new_objects']} objects, {said['new_bytes']:,} bytes")
    check(said["version"] == 2, "the second commit is not version 2")
    check(said["new_bytes"] < 8 * MIB, "a commit costs more than what changed")


def change(root: Path) -> None:
    """One of each kind of change, the same wherever it is made."""
    names = sorted(path for path in (root / "tree").glob("*/*.py") if path.is_file())
    check(len(names) >= 4, "the tree has too few files to change")
    with names[0].open("a") as file:
        file.write("# changed\n")
    names[1].unlink()
    names[2].rename(names[2].with_suffix(".moved"))
    names[3].chmod(0o600)
    (root / "tree" / "new").mkdir()
    (root / "tree" / "new" / "file").write_text("new\n")
    (root / "tree" / "new" / "link").symlink_to("file")
    os.link(root / "tree" / "new" / "file", root / "tree" / "new" / "hard-link")


def write_at(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def show_history(demo: Demo) -> None:
    """What happened, and what is mounted"""
    demo.run("volfs", "log", VOLUME)
    versions = demo.ask("volfs", "log", VOLUME)
    check([row["version"] for row in versions] == [2, 1], "the log has other versions")
    check(versions[0]["message"] == "some changes", "the log has another message")
    demo.run("volfs", "status", demo.two)
    row = demo.ask("volfs", "status", demo.two)[0]
    check((row["version"], row["head"]) == (1, 2), "the status has other versions")


def reload_while_busy(demo: Demo) -> None:
    """A reload while a file is open: EBUSY, and who has it open"""
    path = demo.two / "big.bin"
    print(f"  $ tail -f {path} &")
    process = subprocess.Popen(["tail", "-f", str(path)], stdout=subprocess.DEVNULL)
    demo.processes.append(process)
    wait_until(lambda: demo.ask("volfs", "status", demo.two)[0]["open_files"] == 1)
    said = demo.run("volfs", "reload", demo.two, status=BUSY_STATUS)
    expected = ("volume busy: there are open files preventing the operation", str(path))
    for text in (*expected, "tail", str(process.pid)):
        check(text in said, f"the message does not say {text!r}")
    print(f"  $ kill {process.pid}")
    process.terminate()
    process.wait()
    demo.run("volfs", "reload", demo.two)


def wait_until(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        check(time.monotonic() < deadline, f"nothing happened for {seconds} s")
        time.sleep(0.05)


def fill_a_directory(demo: Demo) -> None:
    """A directory takes 32,768 entries, and not one more"""
    full = demo.one / "full"
    full.mkdir()
    for number in range(ENTRIES_MAX):
        create(full / f"{number}")
    refused = find_refusal(full / "one-more")
    check(refused == errno.ENOSPC, f"entry {ENTRIES_MAX + 1:,} was not refused with ENOSPC")
    check(len(os.listdir(full)) == ENTRIES_MAX, "the first ones are not all there")
    (full / "0").unlink()
    check(find_refusal(full / "one-more") is None, "removing one made no room for another")
    say(f"entry {ENTRIES_MAX + 1:,}: {os.strerror(errno.ENOSPC)}; removing one made room for one")


def create(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))


def find_refusal(path: Path) -> int | None:
    try:
        create(path)
    except OSError as error:
        return error.errno
    return None


def commit_and_compare_again(demo: Demo) -> None:
    """Commit, reload, and compare once more"""
    demo.run("volfs", "commit", demo.one, "-m", "a full directory")
    demo.run("volfs", "reload", demo.two)
    demo.run("diff", "-r", "--no-dereference", demo.source / "tree", demo.two / "tree")
    demo.run("cmp", demo.source / "big.bin", demo.two / "big.bin")
    check(len(os.listdir(demo.two / "full")) == ENTRIES_MAX, "the full directory is not full")
    linked = os.lstat(demo.two / "tree" / "new" / "hard-link").st_nlink
    check(linked == 2, f"a file with two names has {linked} links")
    say("no difference")


def check_the_store(demo: Demo) -> None:
    """Every stored byte is verified"""
    demo.run("volfs", "check")


def unmount_both(demo: Demo) -> None:
    """Unmount"""
    pids = [demo.ask("volfs", "status", path)[0]["pid"] for path in (demo.one, demo.two)]
    for path in (demo.one, demo.two):
        demo.run("volfs", "umount", path)
        check(not os.path.ismount(path), f"{path} is still mounted")
    for pid in pids:
        wait_until(lambda pid=pid: not is_running(pid))  # type: ignore[misc]
    left = os.listdir(demo.store / "mounts")
    check(left == [], f"sessions are left behind: {left}")
    say("both daemons have ended, and nothing is left of them")


STEPS: tuple[Callable[[Demo], None], ...] = (
    gather_a_tree,
    create_and_mount,
    copy_the_tree,
    copy_the_big_file,
    commit_all,
    reload_the_other,
    compare_trees,
    compare_big_files,
    edit_some_files,
    show_history,
    reload_while_busy,
    fill_a_directory,
    commit_and_compare_again,
    check_the_store,
    unmount_both,
)
