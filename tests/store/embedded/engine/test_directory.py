"""The directory of an embedded store: made, refused and finished; one engine in a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.embedded.published import VOLUME, add, packs, run_python
from volfs.errors import (
    NotAStoreError,
    StoreError,
    StoreReplacedError,
    UnsupportedFormatError,
)
from volfs.store.embedded.engine import EmbeddedStore
from volfs.store.registry import open_store

# --- the directory -----------------------------------------------------------


def test_layout_and_modes(store: EmbeddedStore, path: Path) -> None:
    add(store, b"chunk")
    assert sorted(item.name for item in path.iterdir()) == ["format", "index", "packs"]
    assert (path / "format").read_text() == '{"format":"volfs","version":2}'
    assert [pack.name for pack in packs(path)] == ["00000001.pack", "00000002.pack"]
    assert {item.stat().st_mode & 0o777 for item in (path, path / "packs", path / "index")} == {
        0o700
    }
    assert {item.stat().st_mode & 0o777 for item in packs(path)} == {0o600}


def test_create_in_an_empty_directory_and_below_absent_ones(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o755)
    for place in ("empty", "a/b/c"):
        open_store(f"{tmp_path}/{place}", create=True).close()
        open_store(f"file:{tmp_path}/{place}", create=True).close()
        open_store(f"file://{tmp_path}/{place}").close()
        assert (tmp_path / place).stat().st_mode & 0o777 == 0o700


def test_no_store(path: Path) -> None:
    with pytest.raises(NotAStoreError, match=r"no store at .*; `volfs create NAME` makes one"):
        open_store(str(path))
    assert not path.exists()


@pytest.mark.parametrize("create", [False, True])
def test_a_directory_of_other_files_is_left_alone(path: Path, create: bool) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("x")
    with pytest.raises(NotAStoreError, match="other files"):
        open_store(str(path), create=create)
    assert [item.name for item in path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("create", [False, True])
def test_a_file_is_no_store(path: Path, create: bool) -> None:
    path.write_text("x")
    with pytest.raises(NotAStoreError):
        open_store(str(path), create=create)


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"format":"volfs","version":3,"new":[]}', UnsupportedFormatError),
        ('{"format":"volfs","version":0}', NotAStoreError),
        ('{"format":"volfs","version":1,"more":1}', NotAStoreError),
        ('{"format":"other","version":1}', NotAStoreError),
        ("", NotAStoreError),
        ("[]", NotAStoreError),
    ],
)
def test_other_format_files(path: Path, text: str, error: type[Exception], create: bool) -> None:
    path.mkdir()
    (path / "format").write_text(text)
    with pytest.raises(error):
        open_store(str(path), create=create)
    assert [item.name for item in path.iterdir()] == ["format"]


@pytest.mark.parametrize("url", ["nfs://host/x", "", "file:", "file://"])
def test_other_addresses(url: str) -> None:
    with pytest.raises(NotAStoreError):
        open_store(url)


def test_a_creation_that_died_is_finished(path: Path) -> None:
    open_store(str(path), create=True).close()
    (path / "format").rename(path / "format.123.new")
    with pytest.raises(NotAStoreError):
        open_store(str(path))
    open_store(str(path), create=True).close()
    open_store(str(path)).close()


def test_losing_the_format_file_of_a_used_store_loses_nothing(
    store: EmbeddedStore, path: Path
) -> None:
    add(store, b"chunk")
    store.close()
    (path / "format").unlink()
    with pytest.raises(NotAStoreError):
        open_store(str(path), create=True)
    assert len(packs(path)) == 2


# --- one engine in a process -------------------------------------------------


def test_two_opens_share_one_engine(store: EmbeddedStore, path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    other = open_store(str(tmp_path / "link"))
    assert other.objects_of(VOLUME.id) is store.objects_of(VOLUME.id)
    other.close()
    other.close()
    add(store, b"still open")


def test_without_its_packs_directory_nothing_is_written(
    store: EmbeddedStore, path: Path, tmp_path: Path
) -> None:
    (path / "packs").rename(tmp_path / "away")
    with pytest.raises(StoreReplacedError, match="packs is gone"):
        add(store, b"chunk")
    (tmp_path / "away").rename(path / "packs")
    add(store, b"chunk")


def test_closed_store_says_so(store: EmbeddedStore) -> None:
    store.close()
    for call in (
        lambda: store.open_upload(VOLUME.id),
        store.refs.list_volumes,
        lambda: store.refs.get_head(VOLUME.id),
    ):
        with pytest.raises(StoreError, match="closed"):
            call()


def test_a_forked_process_is_refused(store: EmbeddedStore, path: Path) -> None:
    store.close()
    code = """
        import os, sys
        from volfs.errors import StoreError
        from volfs.store.registry import open_store
        store = open_store(sys.argv[1])
        if os.fork() == 0:
            refused = 0
            upload, again = lambda: store.open_upload("vo"), lambda: open_store(sys.argv[1])
            for call in (store.refs.list_volumes, upload, again):
                try:
                    call()
                except StoreError as error:
                    refused += "fork" in str(error)
            os._exit(refused)
        print(os.waitstatus_to_exitcode(os.wait()[1]), len(store.refs.list_volumes()))
    """
    assert run_python(code, str(path)) == "3 1\n"
