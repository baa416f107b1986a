"""``volfs.App``: functions and classes that run in containers on this machine."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import PurePosixPath
from typing import Any, ParamSpec, TypeVar, cast

from volfs.api.apps.app_facts import AppFacts
from volfs.api.apps.cls import Cls, prepare_class
from volfs.api.apps.function import Function
from volfs.api.apps.function_options import Options, rename_older
from volfs.api.apps.image import Image
from volfs.api.apps.marks import find_refusal, get_marks
from volfs.api.apps.notes import note
from volfs.api.apps.origins import Origin, dump_imported
from volfs.api.apps.starting import start_container
from volfs.api.apps.targets import Target, register, register_as
from volfs.api.client import default_environment, in_environment
from volfs.api.resource import ResourceHandle, check_given
from volfs.api.secret import Secret
from volfs.api.twins import blocking, blocking_class, opening, run_in_thread
from volfs.containers.batches import check_batched
from volfs.containers.gathering import Batching
from volfs.containers.launching import drop_launcher, share_launcher
from volfs.containers.messages import Service, TargetReference
from volfs.containers.pickling import dump, send_by_value
from volfs.containers.pool import Pool, PoolOptions
from volfs.containers.services import FunctionService
from volfs.containers.worker_container import Running
from volfs.errors import InvalidError, NotFoundError
from volfs.store.identity import make_id

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger(__name__)


class FunctionTarget(Target):
    """A function of an app."""

    def __init__(self, app: App, service: FunctionService, options: Options, name: str) -> None:
        self.reference = TargetReference(make_id("fu"), app.name, name, service.raw.__module__)
        self.function: Function[..., Any] = Function(self, name, is_generator=service.is_generator)
        self.origin: Origin | None = None
        self._app = app
        self._options = options
        self._service = service
        if options.batching:
            check_batched(service.raw, name, is_generator=service.is_generator)

    @property
    def has_mounts(self) -> bool:
        return self._options.has_mounts

    def list_handles(self) -> list[ResourceHandle]:
        return self._options.list_handles()

    def get_batching(self, method: str) -> Batching | None:
        return self._options.batching

    @property
    def home(self) -> App:
        return self._app

    @property
    def handle(self) -> Function[..., Any]:
        return self.function

    def find_refusal(self, method: str) -> str | None:
        return find_refusal(self._service.raw)

    def with_options(self, **options: Any) -> Target:
        changed, name = self._options.change(**options), self.reference.tag
        other = FunctionTarget(self._app, self._service, changed, name)
        self._app.keep(other)
        return other

    def dump_service(self) -> bytes:
        said = f"the function {self.reference.tag}"
        if self.origin is not None:
            return dump_imported(self.origin, None, said)
        return dump(self._service, said)

    def make_service(self) -> Service:
        return self._service

    def get_local_service(self) -> Service:
        return self._service

    def get_pool(self) -> Pool:
        return self._get_pool(self.reference.id, self._options)

    def get_server_pool(self, method: str) -> Pool:
        return self._get_pool(f"{self.reference.id} server", self._options.for_a_server())

    def _get_pool(self, key: str, options: Options) -> Pool:
        name = self.reference.tag
        return self._app.get_pool(
            key,
            options.to_pool_options(name),
            lambda: start_container(name, options, self.dump_service()),
        )


class LocalEntrypoint:
    """A function that ``volfs run FILE`` calls in its own process."""

    def __init__(self, raw: Callable[..., Any], name: str, app: App) -> None:
        self.raw = raw
        self.name = name
        self.app = app

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.raw(*args, **kwargs)


class App(AppFacts):
    """Functions and classes with their containers. Containers start with calls, also outside
    ``run()``. They end with the block of ``run()``, or with the program."""

    def __init__(
        self,
        name: str | None = None,
        *,
        image: Image | None = None,
        volumes: Mapping[str | PurePosixPath, Any] | None = None,
        secrets: Sequence[Secret] | None = None,
        tags: Mapping[str, str] | None = None,
        include_source: bool | None = None,
    ) -> None:
        """Make an app. The options hold for all its functions, which may add their own.
        InvalidError."""
        self.name = name
        self._id = make_id("ap")
        self._tags = dict(tags or {})
        self.registered_functions: dict[str, Function[..., Any]] = {}
        self.registered_classes: dict[str, Cls] = {}
        self.registered_entrypoints: dict[str, LocalEntrypoint] = {}
        self._options = Options().change(image=image, volumes=volumes, secrets=secrets)
        self._kept: list[Target] = []
        self._included: list[App] = []
        self._pools: dict[str, Pool] = {}
        self._environment: str | None = None
        self._lock = threading.Lock()
        _apps.add(self)
        if name is not None:
            _by_name[name] = self

    def __repr__(self) -> str:
        return f"volfs.App({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return App, (self.name,)

    @blocking_class
    @classmethod
    def lookup(
        cls,
        /,
        name: str,
        *,
        create_if_missing: bool = False,
        environment_name: str | None = None,
        **_: Any,
    ) -> App:
        """The app of this name that this program has defined last. NotFoundError.

        An app that ``lookup`` makes belongs to the environment; others belong to the environment
        in which they run.
        """
        check_given(environment_name)
        if not create_if_missing and name not in _by_name:
            raise NotFoundError(
                f"this program defines no app '{name}': apps live with the program that defines "
                "them; import the file that does"
            )
        return _by_name.get(name) or App(name)._in(environment_name)

    # --- contents of an app ----------------------------------------------

    @property
    def image(self) -> Any:
        """The image of the functions that name no other. None means this machine."""
        return self._options.image

    def include(self, other_app: App, inherit_tags: bool = True) -> App:
        """Add the functions and classes of another app under their names. Their containers end
        with this app."""
        self.registered_functions |= other_app.registered_functions
        self.registered_classes |= other_app.registered_classes
        self._included.append(other_app)
        return self

    def function(
        self,
        _warn: Any = None,
        *,
        name: str | None = None,
        is_generator: bool | None = None,
        **options: Any,
    ) -> Callable[[Callable[P, R]], Function[P, R]]:
        """Let a function run in containers. For the options see docs/python-api.md.
        InvalidError."""
        _check_parentheses(_warn, "function")
        chosen = self._options.change(**rename_older(options))

        def decorate(raw: Callable[P, R]) -> Function[P, R]:
            if not callable(raw) or isinstance(raw, type):
                raise InvalidError("@app.function() is for functions; use @app.cls() for a class")
            tag = name or raw.__name__
            service = FunctionService(raw, is_generator)
            target = FunctionTarget(self, service, chosen.change(**get_marks(raw)), tag)
            self._register(target, self.registered_functions, target.function)
            return cast(Function[P, R], target.function)

        return decorate

    def cls(self, _warn: Any = None, **options: Any) -> Callable[[type], Cls]:
        """Let the instances of a class live in containers. InvalidError."""
        _check_parentheses(_warn, "cls")
        chosen = self._options.change(**rename_older(options))

        def decorate(user_class: type) -> Cls:
            if not isinstance(user_class, type):
                raise InvalidError("@app.cls() is for classes; use @app.function() for a function")
            prepare_class(user_class)
            cls = Cls.from_local(self, user_class, chosen.change(**get_marks(user_class)))
            self._register(cls._target, self.registered_classes, cls)
            return cls

        return decorate

    def local_entrypoint(
        self, _warn: Any = None, *, name: str | None = None
    ) -> Callable[[Callable[..., Any]], LocalEntrypoint]:
        """Mark the function that ``volfs run FILE`` calls. Its parameters are options of the
        command. InvalidError."""
        _check_parentheses(_warn, "local_entrypoint")

        def decorate(raw: Callable[..., Any]) -> LocalEntrypoint:
            tag = name or raw.__name__
            if tag in self.registered_entrypoints:
                raise InvalidError(f"Duplicate local entrypoint name: {tag}")
            entrypoint = LocalEntrypoint(raw, tag, self)
            self.registered_entrypoints[tag] = entrypoint
            return entrypoint

        return decorate

    def _register(self, target: Target, known: dict[str, Any], what: Any) -> None:
        tag = target.reference.tag
        if tag in known:
            log.warning(
                "function name '%s' collision! Overriding existing function %r with %r",
                tag,
                known[tag],
                what,
            )
        known[tag] = what
        self.keep(target, by_name=True)
        send_by_value(target.reference.module)

    def keep(self, target: Target, *, by_name: bool = False) -> None:
        """Keep a target as long as the app, so that calls find it by its id."""
        register(target, by_name=by_name)
        self._kept.append(target)

    # --- running ---------------------------------------------------------

    @blocking
    def deploy(
        self,
        *,
        name: str | None = None,
        environment_name: str | None = None,
        tag: str = "",
        client: object = None,
        strategy: str = "rolling",
    ) -> App:
        """Noted: its functions are found by this name, as long as this program runs.

        InvalidError without a name.
        """
        found = name or self.name
        if not found:
            raise InvalidError("You need to either supply an explicit deployment name, or name App")
        note("deploy", "accepted: an app lives in the program that defines it, and ends with it")
        self.name = found
        _by_name[found] = self
        for target in self._kept:
            register_as(found, target)
        return self

    @blocking
    def stop(self, *, client: object = None) -> None:
        """End the app's containers, as at the end of ``run()``."""
        self.close()

    def get_pool(self, key: str, options: PoolOptions, start: Callable[[], Running]) -> Pool:
        with self._lock:
            return self._pools.setdefault(key, Pool(options, lambda: self._start(start)))

    def _start(self, start: Callable[[], Running]) -> Running:
        """Start a container. Resources that are named without an environment belong to that of the
        app."""
        with in_environment(self.environment_name):
            return start()

    @property
    def environment_name(self) -> str:
        """The environment in which the app runs."""
        return default_environment(self._environment)

    @opening
    def run(self, /, *, environment_name: str | None = None, **_: Any) -> _Run:
        """A block at whose end all containers of the app have ended. InvalidError inside another
        such block.

        Names that its containers are given belong to the environment, unless they say another.
        """
        check_given(environment_name)
        return _Run(self, environment_name)

    def _in(self, environment: str | None) -> App:
        for app in (self, *self._included):
            app._environment = environment
        return self

    def prepare(self) -> None:
        """Bind the app's resources to its environment, as on Modal, even if they had another
        before.

        Also start the process for which the first container with volumes would wait.
        """
        kept = [target for app in (self, *self._included) for target in app._kept]
        for target in kept:
            for handle in target.list_handles():
                handle.belong_to(self.environment_name)
        if any(target.has_mounts for target in kept):
            share_launcher()

    def forget(self) -> None:
        """Forget the containers after a fork, because they are the parent's."""
        self._lock = threading.Lock()
        self._pools = {}

    def take_pools(self) -> list[Pool]:
        """Take all pools, in order to end them. Later calls get new pools."""
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        return pools

    def close(self) -> None:
        """End the app's containers. Exit handlers run, and volumes are committed. Calls that still
        run are ended, which is logged."""
        pools = [pool for app in (self, *self._included) for pool in app.take_pools()]
        threads = [threading.Thread(target=_close, args=(self, pool)) for pool in pools]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        drop_launcher()


class _Run(AbstractContextManager[App], AbstractAsyncContextManager[App]):
    def __init__(self, app: App, environment: str | None) -> None:
        self._app = app
        self._environment = environment

    def __enter__(self) -> App:
        if self._app in _running:
            raise InvalidError(
                "App is already running and can't be started again; in a local_entrypoint it runs"
            )
        _running.add(self._app)
        self._before = self._app._environment
        self._app._in(self._environment or self._before)
        self._app.prepare()
        return self._app

    def __exit__(self, *_: object) -> None:
        _running.discard(self._app)
        self._app.close()
        self._app._in(self._before)

    async def __aenter__(self) -> App:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        await run_in_thread(self.__exit__)


def _close(app: App, pool: Pool) -> None:
    ended = pool.close()
    if ended:
        log.warning("%s: calls of %s were ended with it: %d", app, pool.options.name, ended)


def _check_parentheses(given: Any, name: str) -> None:
    if given is not None:
        raise InvalidError(
            f"Positional arguments are not allowed. Did you forget parentheses? "
            f"Suggestion: `@app.{name}()`."
        )


_apps: weakref.WeakSet[App] = weakref.WeakSet()
_running: weakref.WeakSet[App] = weakref.WeakSet()
_by_name: weakref.WeakValueDictionary[str, App] = weakref.WeakValueDictionary()


@atexit.register
def _close_all() -> None:
    for app in list(_apps):
        app.close()


def _forget_all() -> None:
    _running.clear()
    for app in list(_apps):
        app.forget()


os.register_at_fork(after_in_child=_forget_all)
