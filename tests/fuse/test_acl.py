"""POSIX ACLs on real mounts, with setfacl and the tools that copy them; ext4 says what is right."""

from __future__ import annotations

import errno
import os
import random
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.calls import fails, run_as
from tests.harness.mounted import Mounted, Mounts
from volfs.fuse.negotiation import VARIABLE
from volfs.volume.history import get_version
from volfs.volume.restore import restore_version

pytestmark = pytest.mark.fuse
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"


def sh(here: Path, script: str) -> str:
    """What a script prints, errors of its commands too."""
    done = subprocess.run(
        ["sh", "-c", script], cwd=here, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def show(here: Path) -> str:
    """Modes, ACLs and names of attributes of all that is below a directory."""
    listed = sh(here, "find . -printf '%p %M %U %G\\n' | sort; find . | sort | xargs getfacl -np")
    names = [(path, _list_attributes(path)) for path in sorted(here.rglob("*"))]
    return listed + "\n".join(f"{path.relative_to(here)} {found}" for path, found in names)


def _list_attributes(path: Path) -> list[str]:
    return sorted(set(os.listxattr(path, follow_symlinks=False)) - {"security.selinux"})


def make_value(*entries: tuple[int, int, int], version: int = 2) -> bytes:
    return struct.pack("<I", version) + b"".join(struct.pack("<HHI", *one) for one in entries)


ANY = 0xFFFF_FFFF
SMALL = ((1, 6, ANY), (4, 4, ANY), (32, 4, ANY))


# --- as ext4 does it ----------------------------------------------------------


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A directory beside the mount that has ACLs, to compare with."""
    path = tmp_path / "plain"
    path.mkdir(mode=0o755)
    if sh(path, "setfacl -m u:1:r ."):
        pytest.skip("the file system of the tests' files has no ACLs")
    sh(path, "setfacl -b .; chmod 755 .")
    return path


WHO = ["u:1000", "u:1001", "g:1000", "g:77", "u", "g", "o", "m"]
NAMES = ["a", "b", "d", "d/a", "d/e", "d/e/a", "copy"]


def make_command(chance: random.Random) -> str:
    name, other = chance.choice(NAMES), chance.choice(NAMES)
    entry = f"{chance.choice(WHO)}:{chance.choice(['---', 'r--', 'rw-', 'r-x', 'rwx'])}"
    umask = f"umask {chance.choice(['000', '022', '027', '077'])};"
    return chance.choice(
        [
            f"setfacl -m {entry} {name}",
            f"setfacl -m {entry} {name}",
            f"setfacl -d -m {entry} d",
            f"setfacl -d -m {entry} {name}",
            f"setfacl -n -m {entry} {name}",
            f"setfacl -x {entry[:-4]} {name}",
            f"setfacl -{chance.choice('bk')} {name}",
            f"setfacl -R -m {entry} d 2>/dev/null",
            f"chmod {chance.randrange(0o10000):o} {name}",
            f"chmod {chance.choice(['g=', 'g+w', 'u-x', 'o=rx', 'g+s'])} {name}",
            f"chown {chance.choice(['0:77', '1000:0', '1000:1000'])} {name}",
            f"{umask} mkdir {name}",
            f"{umask} mkdir -p d/e",
            f"{umask} mkdir -m {chance.randrange(0o1000):o} {name}",
            f"{umask} touch {name}",
            f"{umask} ln -s d {name}",
            f"ln {name} {other}",
            f"cp -aT {name} copy",
            f"{umask} cp {name} {other}",
            f"mv -T {name} {other}",
            f"rm -rf {name}",
            f"getfacl {name} 2>/dev/null | setfacl --set-file=- {other}",
        ]
    )


@pytest.mark.parametrize("seed", range(3))
def test_random_commands_do_as_on_ext4(each_alone: Path, plain: Path, seed: int) -> None:
    chance = random.Random(seed)
    trail: list[str] = []
    for _ in range(6):
        script = "\n".join(make_command(chance) for _ in range(12))
        trail.append(script)
        assert sh(each_alone, script) == sh(plain, script), "\n".join(trail)
        assert show(each_alone) == show(plain), "\n".join(trail)


DEFAULTS = """
mkdir d s; setfacl -d -m u:1000:rwx,g:77:r-x,m:rwx,o:--- d; setfacl -d -m u::rwx,g::r-x,o::- s
for umask in 000 022 077; do
    umask $umask
    mkdir -p d/$umask/deep/deeper s/$umask/deep
    for place in d/$umask/deep s/$umask; do
        touch $place/file; mkfifo $place/fifo; ln -s file $place/link; mkdir -m 710 $place/closed
        cp /bin/true $place/program
    done
done
"""


def test_what_is_made_inherits_and_no_umask_is_applied_to_it(each_alone: Path, plain: Path) -> None:
    assert sh(each_alone, DEFAULTS) == sh(plain, DEFAULTS) == ""
    assert show(each_alone) == show(plain)
    assert (each_alone / "d/077/deep/file").stat().st_mode & 0o777 == 0o660


ATTEMPTS = """
for f in read write both shut named; do cat $f >/dev/null && echo $f read; done 2>/dev/null
for f in read write both shut named; do (echo x >>$f) 2>/dev/null && echo $f written; done
ls enter list 2>/dev/null
touch list/new enter/new 2>/dev/null; cat enter/file
setfacl -m u:1000:rwx shut; chmod 777 shut; rm -f list/file; mkdir enter/made; setfacl -b enter
"""
MADE = """
mkdir enter list; touch enter/file list/file read write both shut named; chmod -R o= . ; chmod 755 .
chmod 600 *; setfacl -m u:1000:r read; setfacl -m g:1000:w write; setfacl -m u:1000:rw both
setfacl -m u:1000:rwx,m:- shut; setfacl -m u:1000:-,g:1000:rw named; setfacl -m o:r enter/file
setfacl -m u:1000:x enter; setfacl -m u:1000:rwx list
"""


@pytest.mark.parametrize("user", [1000, 1001])
def test_the_kernel_gives_and_refuses_what_they_say(
    each_alone: Path, plain: Path, user: int
) -> None:
    said = []
    for here in (each_alone, plain):
        assert sh(here, MADE) == ""
        said.append(run_as(user, here, lambda: sh(Path(), ATTEMPTS)))
    assert said[0] == said[1]
    assert ("both written" in said[0]) == (user == 1000)
    assert show(each_alone) == show(plain)


def test_a_change_counts_at_once_for_who_was_let_in_before(each_alone: Path) -> None:
    """The kernel keeps ACLs, as it keeps modes."""
    (each_alone / "f").touch(mode=0o600)

    def can_read() -> str:
        return run_as(1000, each_alone, lambda: os.access("f", os.R_OK))

    answers = []
    for change in ("setfacl -m u:1000:r f", "chmod g= f", "chmod g=r f", "setfacl -b f"):
        assert sh(each_alone, change) == ""
        answers.append(can_read())
    assert answers == ["True", "False", "True", "False"]


def test_set_group_id_goes_as_with_chmod(each_alone: Path, plain: Path) -> None:
    script = "setfacl -m u:5:r mine; setfacl -m u:5:r theirs; setfacl -d -m u:5:r d; ls -l"
    for here in (each_alone, plain):
        made = "touch mine theirs; mkdir d; chown 1000:77 theirs d; chown 1000:1000 mine"
        assert sh(here, f"{made}; chmod 2755 *") == ""
        run_as(1000, here, lambda: sh(Path(), script))
    assert show(each_alone) == show(plain)
    assert [(each_alone / name).stat().st_mode & 0o2000 for name in ("mine", "theirs")] == [
        0o2000,
        0,
    ]


# --- bytes ----------------------------------------------------------------------


VALUES = [
    b"",
    b"\2\0\0",
    b"\2\0\0\0",
    b"\2\0\0\0" + bytes(5),
    b"\2\0\0\0" + bytes(8),
    b"\xff" * 100,
    make_value(*SMALL),
    make_value(*SMALL, version=3),
    make_value(*SMALL[:2]),
    make_value(*reversed(SMALL)),
    make_value(SMALL[0], SMALL[0], *SMALL[1:]),
    make_value(SMALL[0], (2, 7, 1000), *SMALL[1:]),
    make_value(SMALL[0], (2, 7, 1000), SMALL[1], (16, 7, ANY), SMALL[2]),
    make_value(SMALL[0], (2, 7, ANY), SMALL[1], (16, 7, ANY), SMALL[2]),
    make_value(SMALL[0], (2, 8, 1000), SMALL[1], (16, 7, ANY), SMALL[2]),
    make_value((64, 7, 0), *SMALL),
    make_value(*SMALL) + b"\0",
]


def attempt(call: Callable[[], object]) -> object:
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def test_malformed_acls_are_refused_as_on_ext4(each_alone: Path, plain: Path) -> None:
    for number, value in enumerate(VALUES):
        found = [try_value(here / str(number), value) for here in (each_alone, plain)]
        assert found[0] == found[1], value
    assert show(each_alone) == show(plain)


def try_value(here: Path, value: bytes) -> list[object]:
    """What system calls say, once for each of several kinds of files and both ACLs."""
    here.mkdir(mode=0o755)
    (here / "f").touch(mode=0o640)
    (here / "d").mkdir(mode=0o750)
    (here / "l").symlink_to("f")
    found: list[object] = []
    for file in ("f", "d", "l"):
        for name in (ACCESS, DEFAULT):
            about = (here / file, name)
            found += [
                attempt(lambda: os.setxattr(*about, value, follow_symlinks=False)),  # noqa: B023
                attempt(lambda: os.getxattr(*about, follow_symlinks=False)),  # noqa: B023
                (here / file).lstat().st_mode,
                attempt(lambda: os.removexattr(*about, follow_symlinks=False)),  # noqa: B023
                attempt(lambda: os.removexattr(*about, follow_symlinks=False)),  # noqa: B023
            ]
            attempt(lambda: os.setxattr(*about, value, follow_symlinks=False))  # noqa: B023
    return found


def test_sizes(each_alone: Path) -> None:
    path = each_alone / "f"
    path.touch()

    def make(users: int) -> bytes:
        named = [(2, 7, number) for number in range(users)]
        return make_value(SMALL[0], *named, SMALL[1], (16, 7, ANY), SMALL[2])

    os.setxattr(path, ACCESS, make(507))
    assert os.getxattr(path, ACCESS) == make(507)
    assert run_as(506, each_alone, lambda: os.access("f", os.R_OK | os.W_OK)) == "True"
    for users in (508, 8000):
        with fails(errno.E2BIG):
            os.setxattr(path, ACCESS, make(users))
    os.setxattr(path, "user.big", bytes(60_000))
    with fails(errno.ENOSPC):
        os.setxattr(path, "user.more", bytes(2000))
    assert os.getxattr(path, ACCESS) == make(507)


# --- copies and versions ----------------------------------------------------------


@pytest.mark.parametrize(
    "copy",
    [
        "cp -a {} {}",
        "rsync -aA {}/ {}/",
        "mkdir -m 755 {1} && tar -C {0} --acls -cf - . | tar -C {1} --acls -xpf -",
    ],
    ids=["cp", "rsync", "tar"],
)
def test_copies_keep_them(each_alone: Path, plain: Path, copy: str) -> None:
    assert sh(plain, DEFAULTS + "setfacl -m u:1:rw d/000/deep/file") == ""
    there, back = each_alone / "copy", plain.parent / "back"
    assert sh(plain, copy.format(plain, there)) == ""
    assert show(there) == show(plain)
    assert sh(plain, copy.format(there, back)) == ""
    assert show(back) == show(plain)


def test_versions_have_them(mounts: Mounts, mounted: Mounted) -> None:
    assert sh(mounted.path, DEFAULTS + "setfacl -m u:1:rw d/000/deep/file") == ""
    wanted = show(mounted.path)
    first = mounted.commit().version
    assert show(mounted.path) == wanted
    mounted.reload()
    assert show(mounted.path) == wanted
    assert sh(mounted.path, "setfacl -R -b .; chmod -R 777 .") == ""
    mounted.commit()
    assert show(mounts.mount(at=str(first)).path) == wanted
    restore_version(
        mounts.store, mounts.volume, get_version(mounts.store.refs, mounts.volume, str(first))
    )
    mounted.reload()
    assert show(mounted.path) == wanted
    mounted.unmount()
    assert show(mounts.mount().path) == wanted


def test_what_was_not_committed_outlives_the_daemon(mounts: Mounts, mounted: Mounted) -> None:
    assert sh(mounted.path, DEFAULTS + "sync .") == ""
    wanted = show(mounted.path)
    mounted.kill()
    assert show(mounts.mount(mounted.path).path) == wanted


def test_a_reload_brings_those_of_others(mounts: Mounts) -> None:
    one, two = (mounts.mount(allow_other=True) for _ in range(2))
    one.path.chmod(0o755)
    (one.path / "f").touch(mode=0o640)
    one.commit()
    two.reload()

    def can_read() -> str:
        return run_as(1000, two.path, lambda: os.access("f", os.R_OK))

    answers = [can_read()]
    for change in ("setfacl -m u:1000:r f", "setfacl -x u:1000 f"):
        assert sh(one.path, change) == ""
        one.commit()
        two.reload()
        answers.append(can_read())
    assert answers == ["False", "True", "False"]
    assert show(one.path) == show(two.path)


def test_mode_and_acl_of_a_merged_directory_are_of_one_side(mounts: Mounts) -> None:
    one, two = mounts.mount(), mounts.mount()
    (one.path / "d").mkdir(mode=0o755)
    one.commit()
    two.reload()
    assert sh(one.path, "setfacl -m u:1000:rwx d; touch d/one") == ""
    assert sh(two.path, "chmod 700 d; touch d/two") == ""
    one.commit()
    two.commit()
    one.reload()
    two.reload()
    assert sh(two.path, "getfacl -cnp d; ls d") == "user::rwx\ngroup::---\nother::---\n\none\ntwo\n"
    assert show(one.path) == show(two.path)


def test_a_network_file_system_shares_them(mounts: Mounts) -> None:
    mounts.create("net", network=True)
    one, two = (mounts.mount(volume="net", allow_other=True) for _ in range(2))
    one.path.chmod(0o755)
    (one.path / "f").touch(mode=0o600)
    answers = []
    for change in ("chmod g= f", "setfacl -m u:1000:r f", "setfacl -m m:- f", "setfacl -b f"):
        assert sh(one.path, change) == ""
        assert show(one.path) == show(two.path)
        answers.append(run_as(1000, two.path, lambda: os.access("f", os.R_OK)))
    assert answers == ["False", "True", "False", "False"]


def test_read_only_mounts_show_them_and_change_none(mounts: Mounts, mounted: Mounted) -> None:
    assert sh(mounted.path, "touch f; setfacl -m u:1000:r f") == ""
    mounted.commit()
    path = mounts.mount(read_only=True).path / "f"
    value = os.getxattr(path, ACCESS)
    assert value == os.getxattr(mounted.path / "f", ACCESS)
    with fails(errno.EROFS):
        os.setxattr(path, ACCESS, value)
    with fails(errno.EROFS):
        os.removexattr(path, ACCESS)


# --- mounts that are not root's -----------------------------------------------------


DROP = """
import ctypes
libc, CAP_SYS_ADMIN = ctypes.CDLL(None), 21
header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc.capget(header, sets)
for at in range(3): sets[at] &= ~(1 << CAP_SYS_ADMIN)
assert libc.capset(header, sets) == 0
"""


@pytest.mark.parametrize(("flags", "mask"), [("all", "rw-"), ("none", "r--")])
def test_below_a_default_acl_no_umask_counts_where_fusermount3_mounts(
    mounts: Mounts, flags: str, mask: str
) -> None:
    """It counts where the kernel was not asked to leave it to us."""
    mounts.environment[VARIABLE] = flags
    path = mounts.mount(prelude=DROP).path
    made = "mkdir d e; setfacl -d -m u:1000:rwx,g::rwx d; umask 027; touch d/f e/f"
    assert sh(path, made) == ""
    assert sh(path, "getfacl -cnp d/f; stat -c %a e/f").split() == [
        "user::rw-",
        "user:1000:rwx",
        f"#effective:{mask}",
        "group::rwx",
        f"#effective:{mask}",
        f"mask::{mask}",
        f"other::{'r--' if flags == 'all' else '---'}",
        "640",
    ]
