"""ACLs as data: what is valid, what the mode has to do with it, what is inherited."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.errors import AttributeTooLargeError, InvalidOperationError
from volfs.model import acl as acls
from volfs.model.acl import ACCESS, DEFAULT, Acl, AclEntry, AclTag
from volfs.model.entry import FileKind

permissions = st.integers(0, 7)
modes = st.integers(0, 0o7777)
named = st.lists(st.tuples(permissions, st.integers(0, 0xFFFF_FFFE)), max_size=3)


def make_acl(
    bits: list[int], users: list[tuple[int, int]], groups: list[tuple[int, int]], masked: bool
) -> Acl:
    mask = [AclEntry(AclTag.MASK, bits[3])] if masked or users or groups else []
    return (
        AclEntry(AclTag.OWNER, bits[0]),
        *(AclEntry(AclTag.USER, *one) for one in users),
        AclEntry(AclTag.OWNING_GROUP, bits[1]),
        *(AclEntry(AclTag.GROUP, *one) for one in groups),
        *mask,
        AclEntry(AclTag.OTHER, bits[2]),
    )


bits = st.lists(permissions, min_size=4, max_size=4)
whole = st.builds(make_acl, bits, named, named, st.booleans())
NAMED = [one for one in AclTag if one in (AclTag.USER, AclTag.GROUP)]


def named_of(acl: Acl) -> list[AclEntry]:
    return [entry for entry in acl if entry.tag in NAMED]


@given(whole)
def test_what_is_encoded_is_decoded(acl: Acl) -> None:
    assert acls.decode_acl(acls.encode_acl(acl)) == acl


def test_the_bytes_are_those_of_linux() -> None:
    acl = make_acl([6, 4, 0, 5], [(7, 1000)], [], masked=False)
    wanted = (
        "02000000 01000600ffffffff 02000700e8030000 04000400ffffffff 10000500ffffffff"
        "20000000ffffffff"
    )
    assert acls.encode_acl(acl) == bytes.fromhex(wanted)


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: b"\2\0\0\0" + data))
def test_any_bytes_are_an_acl_or_refused(data: bytes) -> None:
    try:
        acl = acls.decode_acl(data)
    except InvalidOperationError:
        return
    assert acls.decode_acl(acls.encode_acl(acl)) == acl


@given(whole, st.data())
def test_an_acl_out_of_order_or_incomplete_is_refused(acl: Acl, data: st.DataObject) -> None:
    entries = list(acl)
    at = data.draw(st.integers(0, len(entries) - 1))
    harm = data.draw(st.sampled_from(["drop", "twice", "swap", "permissions", "nobody"]))
    entry = entries[at]
    if harm == "drop" and entry.tag not in NAMED and (entry.tag != AclTag.MASK or named_of(acl)):
        del entries[at]
    elif harm == "twice" and entry.tag not in NAMED:
        entries.insert(at, entry)
    elif harm == "swap" and at and entries[at - 1].tag != entry.tag:
        entries[at - 1 : at + 1] = [entry, entries[at - 1]]
    elif harm == "nobody" and entry.tag in NAMED:
        entries[at] = entry._replace(who=acls.NOBODY)
    else:
        entries[at] = entry._replace(permissions=8)
    with pytest.raises(InvalidOperationError):
        acls.decode_acl(acls.encode_acl(tuple(entries)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\2\0\0",
        b"\3\0\0\0",
        b"\2\0\0\0" + bytes(7),
        b"\2\0\0\0" + struct.pack("<HHI", 3, 7, 0),
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(InvalidOperationError):
        acls.decode_acl(data)


def test_an_acl_that_the_kernel_could_not_read_is_too_large() -> None:
    users = [(7, number) for number in range(507)]
    acl = make_acl([7, 7, 7, 7], users, [], masked=True)
    assert acls.decode_acl(acls.encode_acl(acl)) == acl
    with pytest.raises(AttributeTooLargeError):
        acls.decode_acl(acls.encode_acl((acl[0], AclEntry(AclTag.USER, 7, 1), *acl[1:])))


@given(whole, modes)
def test_chmod_changes_what_the_mode_shows_and_nothing_named(acl: Acl, mode: int) -> None:
    changed = acls.with_mode(acl, mode)
    assert acls.to_mode(changed) == mode & 0o777
    assert named_of(changed) == named_of(acl)
    assert acls.with_mode(changed, acls.to_mode(acl)) == acl


@given(whole, modes)
def test_mode_and_acl_agree_among_the_attributes(acl: Acl, mode: int) -> None:
    others = ((b"a", b"1"), (b"user.b", b"2"))
    xattrs = acls.set_acl(others, ACCESS, acl)
    assert xattrs == tuple(sorted(xattrs))
    assert (ACCESS in dict(xattrs)) == (not acls.is_mode(acl))
    followed = dict(acls.follow_mode(xattrs, mode))
    if ACCESS in followed:
        assert acls.to_mode(acls.decode_acl(followed.pop(ACCESS))) == mode & 0o777
    assert tuple(followed.items()) == others
    assert acls.set_acl(xattrs, ACCESS, ()) == others


@given(whole, modes, st.integers(0, 0o777), st.sampled_from([FileKind.FILE, FileKind.DIRECTORY]))
def test_a_default_acl_is_inherited_and_the_umask_is_not(
    acl: Acl, mode: int, umask: int, kind: FileKind
) -> None:
    above = acls.set_acl(((b"user.a", b"1"),), DEFAULT, acl)
    bits, xattrs = acls.inherit(above, kind, mode, umask)
    assert bits == mode & (acls.to_mode(acl) | 0o7000)
    found = dict(xattrs)
    assert (DEFAULT in found) == (kind == FileKind.DIRECTORY)
    assert found.pop(DEFAULT, acls.encode_acl(acl)) == acls.encode_acl(acl)
    if acls.is_mode(acl):
        assert not found
    else:
        mine = acls.decode_acl(found.pop(ACCESS))
        assert (acls.to_mode(mine), named_of(mine)) == (bits & 0o777, named_of(acl))


def test_without_a_default_acl_the_umask_counts_but_for_symlinks() -> None:
    for above in ((), ((b"user.a", b"1"),)):
        assert acls.inherit(above, FileKind.FILE, 0o4666, 0o027) == (0o4640, ())
        assert acls.inherit(above, FileKind.SYMLINK, 0o777, 0o027) == (0o777, ())
