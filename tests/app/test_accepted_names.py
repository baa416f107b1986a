"""Names that are accepted, noted once, and fail only when they are used."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import volfs as modal
from volfs.api.apps import notes
from volfs.api.apps.standins import list_stand_ins
from volfs.containers.endpoint import find_endpoint
from volfs.exception import InvalidError, UnimplementedError

pytestmark = pytest.mark.noisy("accepted")
app = modal.App("accepted")


@app.function()
@modal.asgi_app(label="web")
def web() -> str:
    return "an application"


@app.function()
@modal.fastapi_endpoint(method="POST", docs=True)
def answer(x: int) -> int:
    return x + 1


@app.function()
@modal.clustered(size=2)
def together() -> None:
    """Two containers would run it."""


@app.cls()
class Site:
    @modal.wsgi_app()
    def pages(self) -> str:
        return "pages"

    @modal.web_server(8000, startup_timeout=3)
    def server(self) -> None:
        """Would start one."""

    @modal.method()
    def plain(self) -> int:
        return 1


@pytest.fixture(autouse=True)
def noted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "_noted", set())


def test_endpoints_are_marked_and_run_only_here() -> None:
    assert web.local() == "an application"
    assert answer.local(1) == 2
    for function in (web, answer):
        with pytest.raises(UnimplementedError, match="volfs serve"):
            function.remote()
    with pytest.raises(UnimplementedError, match="volfs serve"):
        list(answer.map([1]))
    found = find_endpoint(answer.get_raw_f())
    assert found is not None
    assert (found.kind, found.method, found.docs) == ("fastapi_endpoint", "POST", True)


def test_endpoints_of_a_class_are_its_methods() -> None:
    assert Site.list_methods() == ["pages", "server", "plain"]
    site = Site()
    assert site.pages.local() == "pages"
    with pytest.raises(UnimplementedError, match="volfs serve"):
        site.pages.remote()
    found = find_endpoint(Site.get_raw("server"))
    assert found is not None
    assert (found.port, found.startup_timeout) == (8000, 3)


def test_a_cluster_cannot_be_called() -> None:
    with pytest.raises(UnimplementedError, match="2 containers"):
        together.spawn()


def test_wrong_marks_are_told_at_once() -> None:
    for wrong in (
        lambda: modal.web_server(0),
        lambda: modal.web_server(80, startup_timeout=0),
        lambda: modal.clustered(size=0),
        lambda: modal.batched(max_batch_size=0, wait_ms=1),
        lambda: modal.batched(max_batch_size=1001, wait_ms=1),
        lambda: modal.batched(max_batch_size=1, wait_ms=-1),
        lambda: modal.concurrent(max_inputs=1, target_inputs=2),
        lambda: modal.web_endpoint(len),
    ):
        with pytest.raises(InvalidError):
            wrong()


def test_marks_are_noted_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        modal.asgi_app()(lambda: None)
        modal.asgi_app()(lambda: None)
        modal.Proxy.from_name("exit")
        modal.Proxy.from_name("other")
    assert [record.message.split(":")[0] for record in caplog.records] == ["@asgi_app", "Proxy"]


def test_stand_ins_can_be_named_and_handled() -> None:
    def annotated(sandbox: modal.Sandbox | None = None) -> modal.Proxy: ...

    assert not isinstance(3, modal.Sandbox)
    proxy = modal.Proxy.from_name("exit")
    assert isinstance(proxy, modal.Proxy)

    @app.function(proxy=proxy)
    def through() -> int:
        return 1

    assert through.local() == 1


@pytest.mark.parametrize("kind", list_stand_ins().values(), ids=lambda kind: kind.__name__)
def test_the_use_of_a_stand_in_says_what_and_why(kind: type) -> None:
    for name in kind.methods - kind.lazy:
        with pytest.raises(UnimplementedError, match=f"^{kind.__name__}.{name}: ."):
            getattr(kind, name)("anything", at=1)
        with pytest.raises(UnimplementedError):
            getattr(kind, name).aio()
    for name in kind.lazy:
        handle = getattr(kind, name)("a name")
        with pytest.raises(UnimplementedError):
            handle.hydrate()
        assert not hasattr(handle, "nothing")
    with pytest.raises(UnimplementedError):
        kind()
    assert not hasattr(kind, "nothing")


def test_probes_are_values() -> None:
    assert modal.Probe.with_tcp(80) == modal.Probe(tcp_port=80)
    assert modal.Probe.with_exec("a", "b", interval_ms=5).exec_argv == ("a", "b")
    assert modal.SchedulerPlacement(region="eu").region == "eu"


def test_outside_of_containers() -> None:
    assert modal.current_input_id() is None
    with pytest.raises(InvalidError, match="inside"):
        modal.forward(80)
    with pytest.raises(UnimplementedError, match="terminal"):
        modal.interact()


def test_patterns(tmp_path: Path) -> None:
    fits = modal.FilePatternMatcher("*.pyc", "**/build", "!keep/build", "a/b?/[xy]*")
    for path in ("a.pyc", "build", "x/y/build/z", "a/b1/x.txt", "a/b1/y/deeper"):
        assert fits(Path(path)), path
        assert not (~fits)(Path(path))
    for path in ("d/a.pyc", "a.py", "keep/build", "keep/build/z", "a/b/x", "a/b1/z", "."):
        assert not fits(Path(path)), path
        assert (~fits)(Path(path))
    assert not fits.can_prune_directories()
    assert modal.FilePatternMatcher("*.py").can_prune_directories()
    ignored = tmp_path / "ignored"
    lazy = modal.FilePatternMatcher.from_file(ignored)
    ignored.write_text("\n# a comment is a pattern, as in Modal\n  /data/**  \n")
    assert lazy(Path("data/x"))
    assert not lazy(Path("data"))
    with pytest.raises(ValueError, match="Illegal"):
        modal.FilePatternMatcher("!")
