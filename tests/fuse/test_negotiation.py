"""INIT: only what the kernel offers is asked for, and a session is whole with and without it."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuse.test_acl import DROP
from tests.harness.mounted import Mounted, Mounts, wait_until
from volfs.control.mounts import find_mount_point
from volfs.errors import MountError
from volfs.fuse.negotiation import (
    ALL,
    NONE,
    VARIABLE,
    Features,
    Negotiation,
    agree,
    read_wanted,
    show_features,
)

AUTO_INVAL, INIT_EXT = 1 << 12, 1 << 30
LIBFUSE = 0x4050B039
"""What libfuse 3.14 and pyfuse3 3.5 answer."""
KERNEL = (1 << 43) - 1

words = st.integers(0, (1 << 64) - 1)
wishes = st.sets(st.sampled_from(list(Features))).map(lambda some: Features(sum(some)))


def make_offer(flags: int, *, has_more: bool = True) -> bytes:
    """As the kernel asks; before Linux 5.17 without the second word of flags."""
    body = struct.pack("=4I", 7, 45, 1 << 20, flags & 0xFFFFFFFF)
    body += struct.pack("=I11I", flags >> 32, *range(11)) if has_more else b""
    return struct.pack("=IIQQIIIHH", 40 + len(body), 26, 2, 0, 0, 0, 0, 0, 0) + body


def make_answer(flags: int, *, size: int = 64, error: int = 0, major: int = 7) -> bytes:
    words = (major, 31, 1 << 20, flags & 0xFFFFFFFF, 12, 9, 1 << 20, 1, 256, 0, flags >> 32)
    body = struct.pack("=4IHHIIHHI", *words).ljust(64, b"\0")[:size]
    return struct.pack("=IiQ", 16 + len(body), error, 2) + body


def flags_of(answer: bytes) -> int:
    low, high = (struct.unpack_from("=I", answer, at)[0] for at in (28, 48))
    return int(low | (high << 32 if low & INIT_EXT else 0))


@given(words, words, wishes)
def test_nothing_is_asked_for_that_is_not_offered_and_wanted(
    offered: int, asked: int, wanted: Features
) -> None:
    before = make_answer(asked)
    after, granted = agree(make_offer(offered), before, wanted)
    counts = offered if offered & INIT_EXT else offered & 0xFFFFFFFF
    assert granted & ~(counts & wanted) == 0
    added = flags_of(after) & ~flags_of(before)
    assert added & ~(granted | INIT_EXT) == 0, "all else is libfuse's to say"
    assert flags_of(before) & ~flags_of(after) & ~AUTO_INVAL == 0
    assert flags_of(after) & granted == granted
    # Both would mean that pages go by their times, as if nothing had been asked for.
    assert not (granted & Features.EXPLICIT_INVAL_DATA and flags_of(after) & AUTO_INVAL)
    if granted & Features.ALLOW_IDMAP:
        assert granted & Features.HANDLE_KILLPRIV_V2
    kept = [bytes(part) for part in (before[:28], before[32:48], before[52:])]
    assert [after[:28], after[32:48], after[52:]] == kept


def test_what_this_kernel_and_libfuse_say() -> None:
    after, granted = agree(make_offer(KERNEL), make_answer(LIBFUSE), ALL)
    assert granted == ALL
    assert flags_of(after) == (LIBFUSE | ALL) & ~AUTO_INVAL


@pytest.mark.parametrize("flag", Features)
def test_a_kernel_without_a_flag(flag: Features) -> None:
    after, granted = agree(make_offer(KERNEL & ~flag), make_answer(LIBFUSE), ALL)
    lost = {flag, Features.ALLOW_IDMAP} if flag == Features.HANDLE_KILLPRIV_V2 else {flag}
    assert granted == ALL & ~sum(lost)
    assert not flags_of(after) & flag
    assert bool(flags_of(after) & AUTO_INVAL) == (flag == Features.EXPLICIT_INVAL_DATA)


@pytest.mark.parametrize(
    ("offer", "answer", "granted"),
    [
        (make_offer(KERNEL, has_more=False), make_answer(LIBFUSE), ALL & ~Features.ALLOW_IDMAP),
        (make_offer(KERNEL), make_answer(LIBFUSE, size=24), ALL & ~Features.ALLOW_IDMAP),
        (make_offer(KERNEL), make_answer(LIBFUSE, error=-71), NONE),
        (make_offer(KERNEL), make_answer(LIBFUSE, major=8), NONE),
        (make_offer(KERNEL), make_answer(LIBFUSE, size=8), NONE),
        (make_offer(KERNEL), make_answer(LIBFUSE, size=0, error=-5), NONE),
        (b"", make_answer(LIBFUSE), NONE),
    ],
)
def test_other_kernels_and_other_answers(offer: bytes, answer: bytes, granted: Features) -> None:
    after, got = agree(offer, answer, ALL)
    assert got == granted
    assert len(after) == len(answer)
    if granted == NONE:
        assert after == answer


# --- what is wanted ---------------------------------------------------------------


@given(wishes)
def test_names_in_the_environment(wanted: Features) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, show_features(wanted))
        assert read_wanted() == wanted
        patch.setenv(VARIABLE, show_features(wanted).upper().replace(",", " , "))
        if wanted:
            assert read_wanted() == wanted


@pytest.mark.parametrize(
    "said", ["", "al", "all,none", "cache_symlinks,", "-allow_idmap", "\udc80"]
)
def test_other_words_are_an_error_that_says_which_there_are(
    said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, said)
    with pytest.raises(MountError, match=f"{VARIABLE}: .*say all, none, .*allow_idmap"):
        read_wanted()


def test_all_is_wanted_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert read_wanted() == ALL


# --- between the kernel and libfuse -------------------------------------------------


Played = tuple[socket.socket, int]


@pytest.fixture
def played() -> Iterator[Played]:
    """The kernel's end, and a descriptor that is taken for the device."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near:
        near.send(make_offer(KERNEL))
        yield near, far.detach()


def test_one_request_passes_and_then_the_device_takes_its_place(played: Played) -> None:
    kernel, device = played
    before = set(os.listdir("/proc/self/fd"))
    talk = Negotiation(device, ALL)
    assert not talk.is_answered()
    assert os.read(talk.descriptor, 1 << 16) == make_offer(KERNEL)
    assert not talk.is_answered()
    os.write(talk.descriptor, make_answer(LIBFUSE))
    assert talk.is_answered()
    assert talk.finish() == ALL
    assert not talk.is_answered()
    assert kernel.recv(4096) == agree(make_offer(KERNEL), make_answer(LIBFUSE), ALL)[0]
    kernel.send(b"the next request")
    assert os.read(talk.descriptor, 100) == b"the next request"
    assert not os.get_inheritable(talk.descriptor)
    talk.close()
    os.close(talk.descriptor)
    left = set(os.listdir("/proc/self/fd")) - before
    assert not left, left
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(device)


def test_a_session_that_ends_before_its_answer_leaves_nothing_open(played: Played) -> None:
    kernel, device = played
    before = set(os.listdir("/proc/self/fd"))
    talk = Negotiation(device, ALL)
    talk.close()
    talk.close()
    os.close(talk.descriptor)
    assert kernel.recv(100) == b"", "the device is closed"
    assert len(set(os.listdir("/proc/self/fd")) - before) == 0


# --- sessions -----------------------------------------------------------------------

WAYS = {"root": "", "through fusermount3": DROP}


def find_asked(mounted: Mounted) -> str:
    text = mounted.wait_for_log("asked of the kernel")
    lines = [line for line in text.splitlines() if "asked of the kernel" in line]
    return lines[-1].rpartition(": ")[2]


def use(path: Path) -> None:
    (path / "d").mkdir()
    (path / "d/f").write_bytes(b"1" * 10_000)
    with (path / "d/f").open("r+b", buffering=0) as file:
        file.write(b"2")
    os.symlink("d/f", path / "link")
    assert (path / "link").read_bytes() == b"2" + b"1" * 9_999
    assert {"d", "link"} <= set(os.listdir(path))


@pytest.mark.fuse
@pytest.mark.parametrize(
    ("way", "said"),
    [("root", "all"), ("root", "none"), ("through fusermount3", "all"),
     ("through fusermount3", "none"), ("root", "parallel_dirops,handle_killpriv_v2")],
)  # fmt: skip
def test_mounts_by_root_and_by_fusermount3(mounts: Mounts, way: str, said: str) -> None:
    mounts.environment[VARIABLE] = said
    mounted = mounts.mount(prelude=WAYS[way])
    assert find_asked(mounted) == (show_features(ALL) if said == "all" else said)
    check_device(mounted.pid)
    use(mounted.path)
    mounted.commit()
    version = mounts.store.refs.get_head(mounts.volume.id).version
    assert version == 1
    check_device(mounted.pid)


def check_device(pid: int) -> None:
    """It is open once, and no child has it."""
    (device,) = (name for name, link in find_links(pid).items() if link == "/dev/fuse")
    text = Path(f"/proc/{pid}/fdinfo/{device}").read_text()
    assert int(text.partition("flags:\t")[2].split()[0], 8) & os.O_CLOEXEC
    children = [c for t in os.listdir(f"/proc/{pid}/task")
                for c in Path(f"/proc/{pid}/task/{t}/children").read_text().split()]  # fmt: skip
    for child in children:
        assert "/dev/fuse" not in find_links(int(child)).values()


def find_links(pid: int) -> dict[str, str]:
    """What a process has open; the daemon opens and closes files meanwhile."""
    links = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            links[name] = os.readlink(f"/proc/{pid}/fd/{name}")
    return links


def test_a_wrong_flag_is_told_before_anything_is_mounted(mounts: Mounts) -> None:
    mounts.environment[VARIABLE] = "passthrough"
    with pytest.raises(MountError, match="no flag is called 'passthrough': say all, none, or"):
        mounts.mount()
    assert mounts.sessions == []


FAULTS = {
    "INIT cannot be read": "n.Negotiation.__init__ = fail",
    "libfuse refuses": "import pyfuse3; pyfuse3.init = refuse",
    "the answer cannot be written": "n.Negotiation.finish = fail",
    "the mount is not found": "import volfs.daemon.whereabouts as w; w.Whereabouts.begin = lose",
    "INIT is never answered": "import volfs.fuse.mounting as m; m._has_agreed = fail",
}
FAIL = """
import volfs.fuse.negotiation as n
from volfs.errors import MountError
def fail(*a): raise OSError(5, "Input/output error")
def refuse(*a): raise RuntimeError("refused")
def lose(*a): raise MountError("lost")
"""


@pytest.mark.fuse
@pytest.mark.parametrize("way", WAYS)
def test_a_start_that_fails_half_way_leaves_no_mount(mounts: Mounts, way: str) -> None:
    place = mounts.place("there")
    mounts.expect("Input/output error", "refused", "lost")
    for fault in FAULTS.values():
        with pytest.raises(Exception, match=r"cannot mount|lost|taken away"):
            mounts.mount(place, prelude=WAYS[way] + FAIL + fault)
        wait_until(lambda: find_mount_point(str(place)) is None, "the mount to go")
        assert mounts.sessions == []
    use(mounts.mount(place, prelude=WAYS[way]).path)


DIE = "import os, signal\ndef die(*a): os.kill(os.getpid(), signal.SIGKILL)\n"
DEATHS = (
    "import volfs.fuse.polling as p; p.install = die",  # before INIT is read by libfuse
    "import volfs.fuse.negotiation as n; n.Negotiation.finish = die",  # before it is answered
)


@pytest.mark.fuse
def test_another_daemon_takes_over_whenever_the_former_died(mounts: Mounts) -> None:
    place = mounts.place("there")
    mounted = mounts.mount(place)
    with (mounted.path / "kept").open("wb") as file:
        file.write(b"1" * 5000)
        file.flush()
        os.fsync(file.fileno())
    mounted.kill()
    for death in DEATHS:
        with pytest.raises(Exception, match=r".+"):
            mounts.mount(place, prelude=DIE + death)
    again = mounts.mount(place)
    assert find_asked(again) == show_features(ALL)
    assert (again.path / "kept").read_bytes() == b"1" * 5000
    use(again.path)
