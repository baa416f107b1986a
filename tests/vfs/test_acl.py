"""What the kernel sees to before it asks: the rooms below do not depend on it."""

from __future__ import annotations

import pytest

from tests.harness.rig import Rig
from volfs.errors import AttributeTooLargeError, InvalidOperationError, NoAttributeError
from volfs.model.acl import ACCESS, DEFAULT, AclEntry, AclTag, encode_acl
from volfs.model.entry import FileKind, replace
from volfs.vfs.caller import Caller

ACL = encode_acl(
    (
        AclEntry(AclTag.OWNER, 7),
        AclEntry(AclTag.USER, 6, 1000),
        AclEntry(AclTag.OWNING_GROUP, 5),
        AclEntry(AclTag.MASK, 7),
        AclEntry(AclTag.OTHER, 4),
    )
)


def test_acls_in_wrong_places_and_malformed_ones_change_nothing(rig: Rig) -> None:
    rig.make((b"f",))
    rig.make((b"l",), FileKind.SYMLINK, target=b"f")
    before = {name: rig.get((name,)).entry for name in (b"f", b"l")}
    for file, name, value in [
        (b"f", DEFAULT, ACL),
        (b"l", ACCESS, ACL),
        (b"f", ACCESS, b""),
        (b"f", ACCESS, ACL[:-1]),
        (b"f", ACCESS, ACL[:12]),
    ]:
        with pytest.raises(InvalidOperationError):
            rig.files.set_xattr(rig.get((file,)).ino, name, value)
    with pytest.raises(AttributeTooLargeError):
        rig.files.set_xattr(rig.get((b"f",)).ino, ACCESS, ACL * 1000)
    assert before == {name: rig.get((name,)).entry for name in (b"f", b"l")}


def test_removing_an_acl_that_is_not_there_changes_nothing(rig: Rig) -> None:
    file = rig.make((b"f",))
    before = file.entry
    rig.files.remove_xattr(file.ino, ACCESS)
    assert file.entry is before
    with pytest.raises(NoAttributeError):
        rig.files.remove_xattr(file.ino, b"user.a")


def test_set_group_id_stays_for_who_is_in_the_group(rig: Rig) -> None:
    file = rig.make((b"f",), mode=0o2755)
    rig.files.set_xattr(
        file.ino, ACCESS, ACL, caller=Caller(lambda capability: False, lambda gid: gid == 0)
    )
    assert file.entry.mode == 0o2774
    rig.files.set_xattr(
        file.ino, ACCESS, ACL, caller=Caller(lambda capability: False, lambda gid: gid == 77)
    )
    assert file.entry.mode == 0o774


def test_under_a_malformed_acl_nothing_is_made_or_allowed_until_it_is_removed(rig: Rig) -> None:
    """Another program's, in a version: what it meant to forbid is not known."""
    directory = rig.mkdir((b"d",))
    damaged = tuple((name, ACL[:-1]) for name in (ACCESS, DEFAULT))
    rig.state.overlay.touch(directory, replace(directory.entry, xattrs=damaged))
    with pytest.raises(InvalidOperationError):
        rig.make((b"d", b"f"))
    with pytest.raises(InvalidOperationError):
        rig.set((b"d",), mode=0o777)
    for name in (ACCESS, DEFAULT):
        rig.files.remove_xattr(directory.ino, name)
    rig.make((b"d", b"f"))
    rig.set((b"d",), mode=0o777)
    assert rig.get((b"d",)).entry.mode == 0o777
