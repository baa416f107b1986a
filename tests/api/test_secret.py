"""``volfs.Secret`` as Modal's guide and the reference have it."""

from __future__ import annotations

import pickle
import traceback
from datetime import datetime
from pathlib import Path

import pytest

import volfs as modal
from volfs.api.secret import read_environment

CANARY = "cAnArY-5f1d7e"
invalid = modal.exception.InvalidError


def test_stored_secrets() -> None:
    modal.Secret.objects.create("my-secret", {"KEY": "value", "OTHER": "x"})
    secret = modal.Secret.from_name("my-secret", required_keys=["KEY"])
    assert secret.name == "my-secret"
    assert secret.object_id.startswith("st-")
    assert read_environment([secret]) == {"KEY": "value", "OTHER": "x"}
    with pytest.raises(modal.exception.AlreadyExistsError):
        modal.Secret.objects.create("my-secret", {})
    modal.Secret.objects.create("my-secret", {"KEY": "new"}, allow_existing=True)
    secret.update({"OTHER": "y"})
    assert read_environment([secret]) == {"KEY": "value", "OTHER": "y"}
    assert [each.name for each in modal.Secret.objects.list()] == ["my-secret"]
    modal.Secret.objects.delete("my-secret")
    modal.Secret.objects.delete("my-secret", allow_missing=True)
    assert modal.Secret.objects.list() == []


def test_missing_ones() -> None:
    secret = modal.Secret.from_name("any name is accepted here/")
    with pytest.raises(modal.exception.NotFoundError, match="not found"):
        secret.hydrate()
    modal.Secret.objects.create("s", {"A": "b"})
    with pytest.raises(modal.exception.NotFoundError, match="make it: volfs secret create t"):
        modal.Secret.from_name("t").hydrate()
    with pytest.raises(modal.exception.NotFoundError, match=r"lacks the required key.s. 'B'"):
        modal.Secret.from_name("s", required_keys=["A", "B"]).hydrate()
    with pytest.raises(invalid, match="Invalid Secret name"):
        modal.Secret.objects.create("a b", {"A": "b"})
    with pytest.raises(invalid, match="constructor is not allowed"):
        modal.Secret()


def test_info() -> None:
    modal.Secret.objects.create("s", {"A": "b"}, environment_name="test")
    secret = modal.Secret.from_name("s", environment_name="test")
    info = secret.info()
    assert (info.name, info.environment_name, info.last_used) == ("s", "test", None)
    assert info.created_by
    read_environment([secret])
    used = secret.info(refresh=True).last_used
    assert used is not None
    assert info.created_at <= used <= datetime.now().astimezone()


def test_from_dict() -> None:
    secret = modal.Secret.from_dict({"DEBUG": "1", "NONE": None})
    assert read_environment([secret]) == {"DEBUG": "1"}
    assert secret.hydrate() is secret
    assert read_environment([modal.Secret.from_dict()]) == {}
    for wrong in ([CANARY], {"A": 1}, {1: CANARY}, {"A": [CANARY]}, {"A": CANARY.encode()}):
        with pytest.raises(invalid, match="has to be a dict") as caught:
            modal.Secret.from_dict(wrong)  # type: ignore[arg-type]
        assert CANARY not in str(caught.value)
    with pytest.raises(invalid, match="is not stored"):
        secret.info()


def test_later_secrets_win() -> None:
    first = modal.Secret.from_dict({"A": "1", "B": "1"})
    modal.Secret.objects.create("s", {"B": "2"})
    assert read_environment([first, modal.Secret.from_name("s")]) == {"A": "1", "B": "2"}


def test_from_local_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "k")
    monkeypatch.delenv("DB_URL", raising=False)
    assert read_environment([modal.Secret.from_local_environ(["API_KEY"])]) == {"API_KEY": "k"}
    with pytest.raises(invalid, match="Could not find local environment variable 'DB_URL' for Sec"):
        modal.Secret.from_local_environ(["API_KEY", "DB_URL"])


def test_from_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    here = modal.Secret.from_dotenv()
    named = modal.Secret.from_dotenv(tmp_path / "a", filename=".env-x")
    by_file = modal.Secret.from_dotenv(tmp_path / "a" / "script.py")
    (tmp_path / "a" / "script.py").touch()
    assert read_environment([here]) == {}
    (tmp_path / ".env").write_text("API_KEY='v v'\nEMPTY=\n# comment\nexport X=1\n")
    (tmp_path / "a" / ".env-x").write_text("Y=2\n")
    assert read_environment([here]) == {"API_KEY": "v v", "EMPTY": "", "X": "1"}
    assert read_environment([by_file]) == read_environment([here])
    assert read_environment([named]) == {"Y": "2"}
    with pytest.raises(FileNotFoundError, match="Starting path not found"):
        read_environment([modal.Secret.from_dotenv("/no/such/place")])


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("A=1\n\n# comment\nAPI_KEY\nB=2\n", 4, "API_KEY has no value; `API_KEY=` is an empty"),
        ("export TOKEN\n", 1, "TOKEN has no value"),
        ('A="two\nlines"\nLATE', 3, "LATE has no value"),
        (f"A=1\n= {CANARY}\n", 2, "is no KEY=VALUE"),
        (f"A=1\n'{CANARY}\n", 2, "is no KEY=VALUE"),
    ],
)
def test_a_line_of_a_dotenv_without_a_value(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    (tmp_path / ".env").write_text(text)
    with pytest.raises(invalid, match=said) as caught:
        read_environment([modal.Secret.from_dotenv(tmp_path)])
    assert str(caught.value).startswith(f"{tmp_path}/.env:{line}: ")
    assert CANARY not in str(caught.value)
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(invalid, match=r"\.env: is no UTF-8 text"):
        read_environment([modal.Secret.from_dotenv(tmp_path)])


def test_values_are_never_shown(store: Path) -> None:
    modal.Secret.objects.create("s", {"A": CANARY})
    stored, local = modal.Secret.from_name("s"), modal.Secret.from_dict({"A": CANARY})
    assert repr(stored) == "volfs.Secret(name='s')"
    assert repr(local) == "volfs.Secret(from_dict)"
    read_environment([stored, local])
    assert CANARY not in repr(vars(stored)) + repr(vars(local))
    with pytest.raises(modal.exception.SerializationError, match="cannot be pickled"):
        pickle.dumps(local)
    assert CANARY.encode() not in pickle.dumps(stored)
    assert read_environment([pickle.loads(pickle.dumps(stored))]) == {"A": CANARY}


def test_tracebacks_have_no_values(store: Path) -> None:
    modal.Secret.objects.create("s", {"A": CANARY})
    store.with_name("store.secret-key").write_text("volfs-secret-key-1 " + "0" * 64)
    calls = (
        lambda: read_environment([modal.Secret.from_name("s")]),
        lambda: modal.Secret.from_name("s").update({"A": CANARY}),
        lambda: modal.Secret.objects.create("s", {"A": CANARY, "bad name": CANARY}),
        lambda: modal.Secret.objects.create("t", {"A": CANARY}),
    )
    for call in calls:
        with pytest.raises(modal.exception.Error) as caught:
            call()
        # Without the lines of this file, which has the word.
        lines = [line for line in traceback.format_exception(caught.value) if __file__ not in line]
        assert CANARY not in "".join(lines)
