"""Names that are accepted, noted once, and fail only when they are used."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import volfs as modal
from tests.harness.mounted import wait_until
from volfs.api.apps import notes
from volfs.api.apps.standins import list_stand_ins
from volfs.containers.endpoint import find_endpoint
from volfs.exception import InvalidError, NotFoundError, RemoteError, UnimplementedError

pytestmark = [pytest.mark.noisy("accepted", "nothing runs in it"), pytest.mark.fuse]
app = modal.App("accepted")


@app.function()
def look(number: int) -> tuple[str | None, str | None, str]:
    with modal.forward(8000, unencrypted=True) as tunnel:
        assert tunnel.tcp_socket == tunnel.tls_socket == ("127.0.0.1", 8000)
        return modal.current_function_call_id(), modal.current_input_id(), f"{tunnel.url}/{number}"


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


# --- in containers ----------------------------------------------------------


def test_a_call_of_several_inputs(run) -> None:
    run(app)
    call = look.spawn_map([7, 8, 9])
    assert call.num_inputs() == 3
    found = list(call.iter())
    assert [url for _, _, url in found] == [f"http://127.0.0.1:8000/{n}" for n in (7, 8, 9)]
    assert {call_id for call_id, _, _ in found} == {call.object_id}
    assert len({input_id for _, input_id, _ in found}) == 3
    assert all(input_id and input_id.startswith("in-") for _, input_id, _ in found)
    assert list(call.iter(start=1, end=2)) == [call.get(index=1)] == [found[1]]
    again = modal.FunctionCall.from_id(call.object_id)
    assert again.num_inputs() == 3
    assert again.get(timeout=60, index=2) == found[2]
    with pytest.raises(InvalidError, match="no input 3"):
        call.get(index=3)
    with pytest.raises(ValueError, match="range"):
        list(call.iter(end=4))
    single = look.spawn(1)
    assert single.num_inputs() == 1
    assert list(single.iter()) == [single.get()]
    assert single.get()[0] == single.object_id
    with pytest.raises(InvalidError):
        single.get(index=1)
    assert look.spawn_map([]).num_inputs() == 0


def test_functions_and_apps_say_what_they_are(run) -> None:
    run(app)
    look.remote(0)
    stats = look.get_current_stats()
    assert (stats.backlog, stats.num_running_inputs) == (0, 0)
    assert stats.num_total_runners == stats.input_headroom >= 1
    assert modal.Function.from_id(look.object_id) is look
    assert look.app is app
    assert look.hydrate() is look
    assert look.get_dashboard_url() is None
    look.update_autoscaler(min_containers=1)
    for refused in ("logs", "metrics", "autoscaler"):
        with pytest.raises(UnimplementedError, match=refused):
            getattr(look, refused)
    with pytest.raises(NotFoundError):
        modal.Function.from_id("fu-none")
    assert app.app_id.startswith("ap-")
    assert app.description == "accepted"
    assert app.registered_web_endpoints == ["web", "answer", "Site.pages", "Site.server"]
    app.set_tags({"team": "a"})
    assert app.get_tags() == {"team": "a"}


def test_deploy_names_an_app_and_stop_ends_its_containers() -> None:
    nameless = modal.App()

    @nameless.function()
    def one() -> int:
        return 1

    with pytest.raises(InvalidError, match="name"):
        nameless.deploy()
    assert nameless.deploy(name="deployed") is nameless
    assert modal.App.lookup("deployed") is nameless
    found = modal.Function.from_name("deployed", "one")
    assert found.remote() == 1
    assert found.get_current_stats().num_total_runners == 1
    nameless.stop()
    assert found.get_current_stats().num_total_runners == 0


@app.function(env={"MODAL_REGION": "mine"})
def look_around() -> dict[str, str]:
    import os

    found = {name: os.environ[name] for name in os.environ if name.startswith("MODAL_")}
    return {**found, "is_local": str(modal.is_local())}


def test_containers_have_modals_variables(run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(app)
    monkeypatch.setenv("MODAL_ENVIRONMENT", "tried")
    found = look_around.remote()
    assert found["MODAL_TASK_ID"].startswith("ta-")
    assert (found["MODAL_IS_REMOTE"], found["is_local"]) == ("1", "False")
    assert (found["MODAL_ENVIRONMENT"], found["MODAL_REGION"]) == ("tried", "mine")
    assert modal.is_local()


def test_a_cancelled_call_sees_modals_exception(run, tmp_path: Path) -> None:
    """And passes through ``except Exception``, as there."""
    run(app)
    begun, ended = tmp_path / "begun", tmp_path / "ended"

    @app.function(max_containers=1)
    def wait(begun: str, ended: str) -> None:
        import signal

        from volfs.exception import InputCancellation

        try:
            Path(begun).touch()
            signal.pause()
        except Exception:  # noqa: BLE001 - that is what is tested
            Path(ended).write_text("an Exception")
        except InputCancellation:
            Path(ended).write_text("InputCancellation")
            raise

    call = wait.spawn(str(begun), str(ended))
    wait_until(begun.exists, "the call to run")
    call.cancel()
    with pytest.raises(RemoteError):
        call.get()
    wait_until(ended.exists, "the call to end")
    assert ended.read_text() == "InputCancellation"
