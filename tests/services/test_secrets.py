"""Encryption, key files, rotation."""

from __future__ import annotations

import os
import resource
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from tests.services.conftest import Clock, count_rows
from volfs.errors import (
    AlreadyExistsError,
    DamagedObjectError,
    InvalidError,
    LocalFileError,
    NotFoundError,
    StoreDeniedError,
    StoreError,
)
from volfs.services import secrets
from volfs.services.keys import (
    EncryptedSecret,
    KeyRing,
    create_key_file,
    load_keys,
    make_key,
    replace_key_file,
)
from volfs.services.opening import TableServices, open_services
from volfs.services.secrets import CURRENT, Secrets, check_values
from volfs.services.service_tables import SECRETS, USES

VALUES = {"API_KEY": "value of the key", "EMPTY": ""}


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[TableServices]:
    kept = open_services(str(tmp_path / "store"), create=True)
    yield kept
    kept.close()


@pytest.fixture(autouse=True)
def own_key_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOLFS_SECRET_KEY_FILE", raising=False)


@pytest.fixture
def rows(tables: TableServices, clock: Clock) -> Secrets:
    return Secrets(tables, clock)


@pytest.fixture
def key_file(tables: TableServices) -> Path:
    return Path(tables.url + ".secret-key")


def find_encrypted(tables: TableServices, secret_id: str) -> EncryptedSecret:
    row = tables.durable.read(lambda txn: txn.find(SECRETS, secret_id.encode()))
    assert row is not None
    return msgspec.msgpack.decode(row, type=EncryptedSecret)


def put_encrypted(tables: TableServices, secret_id: str, encrypted: EncryptedSecret) -> None:
    row = msgspec.msgpack.encode(encrypted)
    tables.durable.change(lambda txn: txn.put(SECRETS, secret_id.encode(), row))


# --- values -----------------------------------------------------------------


def test_values_are_read_as_they_were_kept(rows: Secrets) -> None:
    made = rows.create("s", "main", VALUES)
    assert rows.read(made.id) == VALUES
    rows.update(made.id, {"EMPTY": "ä", "NEW": "1"})
    assert rows.read(made.id) == {**VALUES, "EMPTY": "ä", "NEW": "1"}
    rows.update(made.id, {"ONLY": "2"}, replace=True)
    assert rows.read(made.id) == {"ONLY": "2"}


def test_existing_values_stay(rows: Secrets) -> None:
    made = rows.create("s", "main", VALUES)
    with pytest.raises(AlreadyExistsError):
        rows.create("s", "main", {})
    assert rows.create("s", "main", {}, allow_existing=True) == made
    assert rows.read(made.id) == VALUES


def test_required_keys(rows: Secrets) -> None:
    made = rows.create("s", "main", VALUES)
    rows.check_keys(made.id, ["API_KEY"])
    with pytest.raises(NotFoundError, match=r"Secret 's' lacks the required key.s. 'A', 'B'"):
        rows.check_keys(made.id, ["A", "API_KEY", "B"])


def test_uses_are_noted(rows: Secrets, clock: Clock) -> None:
    made = rows.create("s", "main", VALUES)
    assert rows.find_last_use(made.id) is None
    rows.note_use(made.id)
    assert rows.find_last_use(made.id) == clock.now


def test_deleting_leaves_nothing(tables: TableServices, rows: Secrets) -> None:
    made = rows.create("s", "main", VALUES)
    rows.note_use(made.id)
    rows.delete("s", "main")
    assert count_rows(tables, SECRETS) == 1, "which key encrypts"
    assert count_rows(tables, USES) == 0
    with pytest.raises(NotFoundError):
        rows.read(made.id)
    with pytest.raises(NotFoundError):
        rows.update(made.id, VALUES)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "Ä", "A=", "x" * 16_385])
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidError, match="Invalid key") as caught:
        check_values({name: "canary"})
    assert "canary" not in str(caught.value)


def test_bad_values() -> None:
    check_values({"x" * 16_384: "v" * 32_768})
    for value in ("canary" + "v" * 32_768, "canary\0"):
        with pytest.raises(InvalidError, match="the value of 'A' has") as caught:
            check_values({"A": value})
        assert "canary" not in str(caught.value)


# --- encryption ----------------------------------------------------------------


def test_every_sealing_has_its_own_key_and_nonce(tables: TableServices, rows: Secrets) -> None:
    one, two = (rows.create(name, "main", VALUES).id for name in "ab")
    first = find_encrypted(tables, one)
    rows.update(one, VALUES)
    again = find_encrypted(tables, one)
    other = find_encrypted(tables, two)
    assert (first.version, again.version) == (1, 2)
    for part in ("wrapped", "content"):
        assert (
            len({getattr(each, part)[at:] for each in (first, again, other) for at in (0, 12)}) == 6
        )


def test_sealed_bytes_belong_to_their_secret_and_version(
    tables: TableServices, rows: Secrets
) -> None:
    one, two = (rows.create(name, "main", VALUES).id for name in "ab")
    old = find_encrypted(tables, one)
    put_encrypted(tables, two, old)
    with pytest.raises(DamagedObjectError, match="altered, or moved"):
        rows.read(two)
    put_encrypted(tables, one, msgspec.structs.replace(old, version=2))
    with pytest.raises(DamagedObjectError):
        rows.read(one)


def test_each_altered_byte_is_noticed(tables: TableServices, rows: Secrets) -> None:
    made = rows.create("s", "main", {"A": "b"}).id
    encrypted = find_encrypted(tables, made)
    for field in ("wrapped", "content"):
        data = getattr(encrypted, field)
        for at in range(len(data)):
            bad = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            put_encrypted(tables, made, msgspec.structs.replace(encrypted, **{field: bad}))
            with pytest.raises(DamagedObjectError):
                rows.read(made)
        put_encrypted(tables, made, msgspec.structs.replace(encrypted, **{field: b""}))
        with pytest.raises(DamagedObjectError):
            rows.read(made)
    put_encrypted(tables, made, encrypted)
    assert rows.read(made) == {"A": "b"}


def test_no_key_is_shown() -> None:
    key = make_key()
    said = repr(KeyRing(Path("f"), [key]))
    assert key.id.hex() in said
    assert key.encode().split()[1] not in said


# --- the key file -----------------------------------------------------------


def test_the_key_file_is_beside_the_store_and_ours_alone(rows: Secrets, key_file: Path) -> None:
    assert not key_file.exists()
    rows.create("s", "main", VALUES)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert sorted(os.listdir(key_file.parent)) == ["store", "store.secret-key"]
    before = key_file.read_bytes()
    rows.create("t", "main", VALUES)
    assert key_file.read_bytes() == before


def test_a_named_key_file(
    rows: Secrets, key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOLFS_SECRET_KEY_FILE", str(tmp_path / "my key"))
    made = rows.create("s", "main", VALUES)
    assert (tmp_path / "my key").exists()
    assert not key_file.exists()
    monkeypatch.delenv("VOLFS_SECRET_KEY_FILE")
    with pytest.raises(StoreDeniedError, match=r"no key file .*store.secret-key"):
        rows.read(made.id)
    with pytest.raises(StoreDeniedError, match="no key file"):
        rows.create("t", "main", VALUES)
    assert not key_file.exists(), "a new key could not open what there is"


def test_a_key_file_that_cannot_be_made(
    rows: Secrets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOLFS_SECRET_KEY_FILE", str(tmp_path / "no" / "key"))
    with pytest.raises(LocalFileError, match="No such file or directory"):
        rows.create("s", "main", VALUES)
    with pytest.raises(StoreDeniedError, match="no key file"):
        rows.rotate_key()


def test_a_wrong_key_file(rows: Secrets, key_file: Path) -> None:
    made = rows.create("s", "main", VALUES)
    key_file.unlink()
    create_key_file(key_file)
    for call in (
        lambda: rows.read(made.id),
        lambda: rows.update(made.id, {"A": "b"}),
        lambda: rows.create("t", "main", VALUES),
    ):
        with pytest.raises(StoreDeniedError, match=r"has not the key .* VOLFS_SECRET_KEY_FILE"):
            call()


def test_others_may_not_read_it(rows: Secrets, key_file: Path) -> None:
    made = rows.create("s", "main", VALUES)
    key_file.chmod(0o640)
    with pytest.raises(StoreDeniedError, match="chmod 600"):
        rows.read(made.id)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_who_makes_the_key_file_first_does_not_seal_for_us(rows: Secrets, key_file: Path) -> None:
    """In /tmp, say: it is private, and its owner knows the key."""
    create_key_file(key_file)
    os.chown(key_file, 12345, 12345)
    with pytest.raises(StoreDeniedError, match="belongs to another user \\(12345\\)"):
        rows.create("s", "main", VALUES)


def test_a_fifo_keeps_nobody_waiting(rows: Secrets, key_file: Path) -> None:
    os.mkfifo(key_file, 0o600)
    with pytest.raises(StoreDeniedError, match="a regular file"):
        rows.create("s", "main", VALUES)


def test_a_key_file_that_does_not_fit_replaces_none(rows: Secrets, key_file: Path) -> None:
    """A disk may take a part of it."""
    rows.create("s", "main", VALUES)
    before, names = key_file.read_bytes(), set(os.listdir(key_file.parent))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        with pytest.raises(LocalFileError, match="File too large"):
            replace_key_file(key_file, [make_key()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert key_file.read_bytes() == before
    assert set(os.listdir(key_file.parent)) == names


@pytest.mark.parametrize("content", ["", "\n", "hello canary", "volfs-secret-key-1 canary"])
def test_what_is_no_key_file(key_file: Path, rows: Secrets, content: str) -> None:
    made = rows.create("s", "main", VALUES)
    key_file.write_text(content)
    with pytest.raises(LocalFileError, match="is not a key file of volfs") as caught:
        rows.read(made.id)
    assert "canary" not in str(caught.value)


def test_two_at_once_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    threads = [threading.Thread(target=create_key_file, args=(path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load_keys(path).keys) == 1
    assert os.listdir(tmp_path) == ["key"]


# --- rotation ---------------------------------------------------------------


def test_rotation(tables: TableServices, rows: Secrets, key_file: Path) -> None:
    ids = [rows.create(name, "main", {"A": name}).id for name in "abc"]
    old, content = load_keys(key_file), find_encrypted(tables, ids[0]).content
    assert rows.rotate_key() == (3, key_file)
    new = load_keys(key_file)
    assert len(new.keys) == 1
    assert new.ids != old.ids
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert [rows.read(each) for each in ids] == [{"A": "a"}, {"A": "b"}, {"A": "c"}]
    assert find_encrypted(tables, ids[0]).content == content, "only keys are encrypted anew"
    rows.create("d", "main", VALUES)


def test_rotation_keeps_old_keys_in_a_named_file(
    rows: Secrets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOLFS_SECRET_KEY_FILE", str(tmp_path / "key"))
    rows.create("a", "main", VALUES)
    rows.rotate_key()
    assert len(load_keys(tmp_path / "key").keys) == 2


@pytest.mark.parametrize("step", [1, 2])
def test_a_rotation_that_dies_loses_nothing(
    rows: Secrets, tables: TableServices, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    made = rows.create("a", "main", VALUES)
    calls = []

    def die(path: Path, keys: list[object]) -> None:
        calls.append(keys)
        if len(calls) == step:
            raise StoreError("power cut")
        replace(path, keys)

    replace = secrets.replace_key_file
    monkeypatch.setattr(secrets, "replace_key_file", die)
    with pytest.raises(StoreError, match="power cut"):
        rows.rotate_key()
    monkeypatch.undo()
    monkeypatch.delenv("VOLFS_SECRET_KEY_FILE", raising=False)
    assert rows.read(made.id) == VALUES
    rows.update(made.id, {"B": "c"})
    rows.rotate_key()
    assert rows.read(made.id) == {**VALUES, "B": "c"}


def test_many_rotate_and_seal_at_once(rows: Secrets, key_file: Path, tables: TableServices) -> None:
    made = rows.create("a", "main", VALUES).id
    works = [
        (lambda _: rows.rotate_key(), 5),
        (lambda _: rows.rotate_key(), 5),
        (lambda n: rows.update(made, {f"A{n}": "1"}), 10),
        (lambda n: rows.update(made, {f"B{n}": "1"}), 10),
        (lambda _: rows.read(made), 30),
    ]
    with ThreadPoolExecutor(len(works)) as pool:
        done = [pool.submit(lambda c, n: [c(i) for i in range(n)], *work) for work in works]
    for each in done:
        each.result()
    expected = {f"{kind}{n}" for kind in "AB" for n in range(10)} | VALUES.keys()
    assert rows.read(made).keys() == expected
    current = tables.durable.read(lambda txn: txn.find(SECRETS, CURRENT))
    assert load_keys(key_file).ids == [current]
