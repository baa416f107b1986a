"""Credentials of a store in a bucket that VOLFS_STORE_CREDENTIALS names."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from volfs.buckets.options import BucketOptions
from volfs.errors import InvalidError, NotAStoreError, NotFoundError, VolfsError
from volfs.model.names import MAIN
from volfs.services.opening import open_services
from volfs.services.secrets import Secrets
from volfs.store.distributed.place.bucket_opening import open_store_bucket
from volfs.store.distributed.place.store_credentials import CREDENTIALS, find_credentials
from volfs.store.registry import open_store

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "very'secret="}
TEXT = """
# of the store
AWS_ACCESS_KEY_ID = AKIDEXAMPLE
export AWS_SECRET_ACCESS_KEY="very'secret="
"""


def find(monkeypatch: pytest.MonkeyPatch, said: str) -> BucketOptions:
    monkeypatch.setenv(CREDENTIALS, said)
    return find_credentials()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def test_the_usual_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CREDENTIALS, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "usual")
    options = find_credentials()
    assert (options.secret, options.profile) == (None, None)
    assert options.find("AWS_ACCESS_KEY_ID") == "usual"
    assert find(monkeypatch, "profile:work").profile == "work"


def test_a_file_comes_before_the_usual_variables(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "usual")
    options = find(monkeypatch, f"file:{file}")
    assert options.secret == KEYS
    assert options.find("AWS_ACCESS_KEY_ID") == "AKIDEXAMPLE"
    assert "secret=" not in repr(options)
    assert "AKID" not in repr(options)


def test_a_secret_of_a_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    open_store(store, create=True).close()
    tables = open_services(store)
    Secrets(tables).create("keys", MAIN, KEYS)
    Secrets(tables).create("keys", "prod", {"AWS_ACCESS_KEY_ID": "prod"})
    tables.close()
    assert find(monkeypatch, f"secret:keys@{store}").secret == KEYS
    assert find(monkeypatch, f"secret:prod/keys@{store}").secret == {"AWS_ACCESS_KEY_ID": "prod"}
    with pytest.raises(NotFoundError):
        find(monkeypatch, f"secret:others@{store}")
    with pytest.raises(NotAStoreError):
        find(monkeypatch, f"secret:keys@{tmp_path}/none")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("x", "use profile:NAME, file:PATH or secret:NAME@STORE"),
        ("file:", "use profile:NAME"),
        ("env:X", "use profile:NAME"),
        ("secret:keys", "use secret:NAME@STORE"),
        ("secret:@/srv", "use secret:NAME@STORE"),
        ("secret:keys@s3://bucket/store", "a bucket needs credentials itself"),
        ("file:/no/such/file", "No such file"),
    ],
)
def test_what_names_nothing(monkeypatch: pytest.MonkeyPatch, said: str, why: str) -> None:
    with pytest.raises(VolfsError, match=why) as error:
        find(monkeypatch, said)
    assert CREDENTIALS in str(error.value)


def test_a_file_that_others_may_read(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    file.chmod(0o640)
    with pytest.raises(VolfsError, match="chmod 600"):
        find(monkeypatch, f"file:{file}")
    os.mkfifo(file.with_name("fifo"))
    with pytest.raises(VolfsError, match="no regular file"):
        find(monkeypatch, f"file:{file.with_name('fifo')}")


@pytest.mark.parametrize(
    "text", ["AKID very-secret", "=very-secret", "# nothing", "a-b=very-secret"]
)
def test_what_is_in_the_file_is_never_told(
    monkeypatch: pytest.MonkeyPatch, file: Path, text: str
) -> None:
    file.write_text(text)
    with pytest.raises(InvalidError, match="NAME=VALUE") as error:
        find(monkeypatch, f"file:{file}")
    told = "".join(traceback.format_exception(error.value))
    assert "very-secret" not in told


def test_credentials_do_not_say_where_the_service_is(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    file.write_text(f"{TEXT}AWS_ENDPOINT_URL=http://127.0.0.1:1\n")
    monkeypatch.setenv(CREDENTIALS, f"file:{file}")
    with pytest.raises(InvalidError, match="the address of a store says that itself"):
        open_store_bucket("s3://bucket/store")


@pytest.mark.parametrize("folder", ["..", "a/../b", "./a", "a/%2e%2e/"])
def test_a_folder_of_a_store_goes_down_only(folder: str) -> None:
    with pytest.raises(InvalidError, match="has no part"):
        open_store_bucket(f"s3://bucket/{folder}")
