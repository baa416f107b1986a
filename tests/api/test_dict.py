"""``volfs.Dict`` as Modal's guide and the reference have it."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

import volfs as modal
from tests.api.conftest import ROOT, finish, start
from volfs.store.registry import open_store

pytestmark = pytest.mark.usefixtures("kept")


@pytest.fixture
def d() -> modal.Dict:
    return modal.Dict.from_name("d", create_if_missing=True).hydrate()


# --- handles ----------------------------------------------------------------


def test_a_handle_is_lazy(store: Path) -> None:
    handle = modal.Dict.from_name("nothing")
    assert handle.name == "nothing"
    modal.Dict.from_name("new", create_if_missing=True)
    assert not store.exists()
    message = "Dict 'nothing' not found: no store at"
    with pytest.raises(modal.exception.NotFoundError, match=message):
        handle.get("k")
    assert not store.exists()
    open_store(str(store), create=True).close()
    with pytest.raises(
        modal.exception.NotFoundError, match="'nothing' not found in environment 'm"
    ):
        handle.hydrate()


def test_hydrate_returns_the_handle(d: modal.Dict) -> None:
    assert d.hydrate() is d
    assert d.object_id.startswith("di-")
    same = modal.Dict.from_id(d.object_id)
    assert same.name is None
    d["k"] = 1
    assert same["k"] == 1
    assert same.hydrate().name == "d"


def test_environments_are_apart(monkeypatch: pytest.MonkeyPatch, d: modal.Dict) -> None:
    d["k"] = "main"
    modal.Dict.from_name("d", environment_name="test", create_if_missing=True)["k"] = "test"
    assert modal.Dict.from_name("d", environment_name="test")["k"] == "test"
    monkeypatch.setenv("MODAL_ENVIRONMENT", "test")
    assert modal.Dict.from_name("d")["k"] == "test"
    monkeypatch.setenv("VOLFS_ENVIRONMENT", "main")
    assert modal.Dict.from_name("d")["k"] == "main"


def test_bad_names_are_refused_at_once() -> None:
    with pytest.raises(modal.exception.InvalidError, match="Invalid Dict name: 'a b'"):
        modal.Dict.from_name("a b")
    with pytest.raises(modal.exception.InvalidError):
        modal.Dict.objects.create("a/b")


def test_constructing_one_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"`Dict\(\.\.\.\)` constructor is not allowed"):
        modal.Dict()


def test_info(d: modal.Dict) -> None:
    info = d.info()
    assert info.name == "d"
    assert "@" in (info.created_by or "")
    assert abs((datetime.now().astimezone() - info.created_at).total_seconds()) < 60


def test_objects() -> None:
    objects = modal.Dict.objects
    assert objects.list() == []
    for name in ("a", "b", "c"):
        assert objects.create(name) is None
    with pytest.raises(modal.exception.AlreadyExistsError):
        objects.create("a")
    objects.create("a", allow_existing=True)
    assert [d.name for d in objects.list()] == ["c", "b", "a"]
    assert [d.name for d in objects.list(max_objects=2)] == ["c", "b"]
    moment = modal.Dict.from_name("c").info().created_at
    assert [d.name for d in objects.list(created_before=moment)] == ["b", "a"]
    assert objects.list(created_before="2020-01-01") == []
    with pytest.raises(modal.exception.InvalidError, match="max_objects cannot be negative"):
        objects.list(max_objects=-1)
    with pytest.raises(modal.exception.InvalidError, match="ISO"):
        objects.list(created_before="yesterday")
    objects.delete("b")
    with pytest.raises(modal.exception.NotFoundError):
        objects.delete("b")
    objects.delete("b", allow_missing=True)
    assert [d.name for d in objects.list()] == ["c", "a"]


def test_ephemeral() -> None:
    with modal.Dict.ephemeral() as d:
        d["k"] = 1
        assert modal.Dict.from_id(d.object_id)["k"] == 1
        assert d.name is None
        assert d.info().name is None
        assert modal.Dict.objects.list() == []
    with pytest.raises(modal.exception.NotFoundError):
        d.get("k")


def test_a_handle_can_be_stored(d: modal.Dict) -> None:
    d["other"] = modal.Dict.from_name("other", create_if_missing=True)
    d["other"]["k"] = "v"
    assert modal.Dict.from_name("other")["k"] == "v"


# --- entries ----------------------------------------------------------------


def test_the_spec_s_basic_usage(d: modal.Dict) -> None:
    d["key"] = "value"
    assert d["key"] == "value"
    d.put("key", "value", ttl=3600)
    assert "key" in d
    del d["key"]
    assert "key" not in d
    with pytest.raises(KeyError, match=f"key not in dict {d.object_id}"):
        d["key"]
    with pytest.raises(KeyError):
        del d["key"]


def test_get_pop_put_update(d: modal.Dict) -> None:
    assert d.get("k") is None
    assert d.get("k", 5) == 5
    assert d.put("k", None)
    assert d.get("k", 5) is None
    assert not d.put("k", 2, skip_if_exists=True)
    assert d.pop("k") is None
    assert d.pop("k", 7) == 7
    with pytest.raises(KeyError):
        d.pop("k")
    d.update({"a": 1, 2: "b"}, c=[3])
    d.update()
    assert d.len() == len(d) == 3
    assert dict(d.items()) == {"a": 1, 2: "b", "c": [3]}
    assert sorted(map(str, d.keys())) == ["2", "a", "c"]
    assert sorted(map(str, d.values())) == ["1", "[3]", "b"]
    d.clear()
    assert d
    assert list(d.keys()) == []


def test_keys_are_their_bytes(d: modal.Dict) -> None:
    d.update({1: "int"})
    d[1.0] = "float"
    d[True] = "bool"
    d["1"] = "str"
    d[(1, "x")] = "tuple"
    assert len(d) == 5
    assert (d[1], d[1.0], d[True], d["1"], d[(1, "x")]) == ("int", "float", "bool", "str", "tuple")


def test_plain_values_have_cloudpickle_s_bytes() -> None:
    import cloudpickle

    from volfs.containers.pickling import dump

    for value in ("ä", 1, 1 << 70, b"x", 1.5, True, None, [1], {"a": (1, "a", "a")}):
        assert dump(value, "it") == cloudpickle.dumps(value, 4)


def test_functions_of_a_program_can_be_stored(d: modal.Dict) -> None:
    d["f"] = lambda n: n + 1
    assert d["f"](1) == 2
    assert finish(start("print(modal.Dict.from_name('d')['f'](2))")) == "3\n"


def test_mutating_a_value_writes_nothing(d: modal.Dict) -> None:
    d["l"] = []
    d["l"].append(1)
    assert d["l"] == []


def test_compare_and_set(d: modal.Dict) -> None:
    assert not d.compare_and_set("k", None, 1)
    d["k"] = {"a": ["x" + "y", "xy"]}
    assert not d.compare_and_set("k", {"a": []}, 1)
    assert d.compare_and_set("k", {"a": ["xy", "xy"]}, 1)
    assert d.compare_and_set("k", 1.0, 2)
    assert d["k"] == 2


def test_change(d: modal.Dict) -> None:
    assert d.change("n", lambda n: n + 1, 0) == 1
    assert d.change("n", lambda n: n + 1, 0) == 2
    with pytest.raises(ZeroDivisionError):
        d.change("n", lambda n: n // 0)
    assert d["n"] == 2


def test_processes_count_together(d: modal.Dict) -> None:
    code = """
        d = modal.Dict.from_name("d")
        while not d.contains("go"):
            pass
        for _ in range(25):
            d.change("n", lambda n: n + 1, 0)
    """
    processes = [start(code) for _ in range(4)]
    d["go"] = True
    for process in processes:
        finish(process)
    assert d["n"] == 100


def test_one_of_many_gets_the_lock(d: modal.Dict) -> None:
    code = """
        d = modal.Dict.from_name("d")
        print(d.put("lock", os.getpid(), skip_if_exists=True))
    """
    said = [finish(process) for process in [start(code) for _ in range(6)]]
    assert sorted(said) == ["False\n"] * 5 + ["True\n"]


def test_what_cannot_be_pickled_or_read(d: modal.Dict) -> None:
    import threading

    with pytest.raises(modal.exception.SerializationError, match="value for key 'k' of Dict 'd'"):
        d["k"] = threading.Lock()
    code = """
        import types
        module = types.ModuleType("gone")
        sys.modules["gone"] = module
        exec("class Gone: pass", module.__dict__)
        modal.Dict.from_name("d")["k"] = module.Gone()
    """
    finish(start(code))
    message = "Failed to deserialize value for key 'k' from Dict 'd': No module named 'gone'"
    with pytest.raises(modal.exception.DeserializationError, match=message):
        d.get("k")
    assert "k" in d


def test_no_store_unpickles(store: Path, d: modal.Dict) -> None:
    """The rooms below the API never import a pickle."""
    for room in ("services", "store"):
        for path in (ROOT / "volfs" / room).rglob("*.py"):
            assert "pickle" not in path.read_text(), path


def test_pickled_with_protocol_4(d: modal.Dict) -> None:
    from volfs.containers.pickling import dump

    assert dump([1], "it")[:2] == pickle.dumps([1], 4)[:2]


def test_signatures() -> None:
    assert list(inspect.signature(modal.Dict.put).parameters) == [
        "self",
        "key",
        "value",
        "skip_if_exists",
        "ttl",
    ]
    d = modal.Dict.from_name("x")
    assert list(inspect.signature(d.get).parameters) == ["key", "default"]
    assert "value" in (modal.Dict.get.__doc__ or "")


def test_importing_volfs_is_quick() -> None:
    code = "import sys, volfs; print([m for m in sys.modules if m.startswith('volfs')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['volfs']\n"
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = modal.Nothing
    assert {"Dict", "exception"} <= set(dir(modal))
