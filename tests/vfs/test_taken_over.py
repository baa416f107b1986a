"""What a mount takes over from one that died: what went wrong once, or nearly."""

from __future__ import annotations

from tests.vfs.conftest import NewRig
from volfs.model.entry import FileKind


def test_a_file_whose_known_name_is_gone_comes_back_under_the_other(new_rig: NewRig) -> None:
    """Of a hard-linked file only the name that was removed was loaded."""
    rig = new_rig()
    rig.mkdir((b"d",))
    rig.write((b"d", b"a"), b"x")
    rig.link((b"d", b"a"), (b"d", b"b"))
    rig.commit()
    rig.forget()
    rig.unlink((b"d", b"a"))
    rig.flush()
    rig = new_rig(again=rig)
    assert rig.find((b"a",)) is None
    assert rig.list() == [b"d"]
    assert rig.read((b"d", b"b")) == b"x"
    assert rig.get((b"d", b"b")).entry.links == 1
    rig.commit()


def test_a_daemon_that_died_clean_begins_with_the_newest_version(new_rig: NewRig) -> None:
    rig, other = new_rig(), new_rig()
    other.write((b"f",), b"1")
    other.commit()
    rig.write((b"g",), b"1")
    rig.commit()
    assert rig.list() == [b"g"]
    rig = new_rig(again=rig)
    assert rig.list() == [b"f", b"g"]


def test_a_removed_directory_leaves_no_record(new_rig: NewRig) -> None:
    """What it had lost before stayed in the catalog, and a clean mount on its old version."""
    rig, other = new_rig(), new_rig()
    rig.mkdir((b"d",))
    rig.write((b"d", b"f"), b"x")
    rig.commit()
    rig.unlink((b"d", b"f"))
    rig.flush()
    rig.rmdir((b"d",))
    rig.commit()
    other.write((b"new",), b"x")
    other.commit()
    rig = new_rig(again=rig)
    assert rig.list() == [b"new"]


def test_unflushed_work_is_gone_and_the_rest_is_whole(new_rig: NewRig) -> None:
    rig = new_rig()
    rig.write((b"f",), b"x" * 10_000)
    rig.mkdir((b"d",))
    rig.flush()
    rig.write((b"d", b"g"), b"y")
    rig.rename((b"f",), (b"d", b"f"))
    rig = new_rig(again=rig)
    assert rig.list() == [b"d", b"f"]
    assert rig.list((b"d",)) == []
    assert rig.read((b"f",)) == b"x" * 10_000


def test_directories_deeper_than_python_calls_itself(new_rig: NewRig) -> None:
    rig, other = new_rig(), new_rig()
    here = 1
    for _ in range(1500):
        here = rig.names.make(here, b"d", FileKind.DIRECTORY, 0o755, (0, 0)).ino
    rig.names.make(here, b"f", FileKind.FILE, 0o644, (0, 0))
    rig.flush()
    rig = new_rig(again=rig)
    rig.commit()
    other.reload()
    deep = (b"d",) * 1500
    for each in (rig, other):
        each.strict = False
        assert each.list(deep) == [b"f"]
    rig.unlink((*deep, b"f"))
    rig.commit()
    other.reload()
    assert other.list(deep) == []
