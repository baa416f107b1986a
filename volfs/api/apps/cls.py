"""``volfs.Cls``: classes whose instances live in containers, in Modal's shape."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import FunctionType
from typing import Any

from volfs.api.apps.function import Function
from volfs.api.apps.function_facts import HasTarget
from volfs.api.apps.function_options import Options
from volfs.api.apps.marks import (
    BATCHING,
    check_lanes,
    find_parameters,
    find_refusal,
    make_batching,
    make_methods,
    set_parameters,
)
from volfs.api.apps.origins import Origin, dump_imported
from volfs.api.apps.starting import start_container
from volfs.api.apps.targets import (
    Home,
    Target,
    get_handle,
    register,
    restore_target,
    start_service,
)
from volfs.api.deprecated import warn_of
from volfs.api.resource import ResourceHandle
from volfs.containers.batches import check_batched
from volfs.containers.gathering import Batching
from volfs.containers.messages import (
    Service,
    TargetReference,
    dump_arguments,
    load_arguments,
)
from volfs.containers.pickling import dump
from volfs.containers.pool import Pool
from volfs.containers.services import (
    ClassService,
    find_attribute,
    get_method,
    is_method,
    iter_methods,
)
from volfs.errors import ExecutionError, InvalidError, NotFoundError
from volfs.store.identity import make_id


class ClassTarget(Target):
    """A class of an app. Calls go to its instances."""

    def __init__(self, app: Home, user_class: type, options: Options) -> None:
        self.app = app
        self.user_class = user_class
        self.options = options
        self.origin: Origin | None = None
        tag, module = user_class.__name__, user_class.__module__
        self.reference = TargetReference(make_id("cs"), app.name, tag, module)
        self._instances: dict[bytes, InstanceTarget] = {}
        if options.batching:
            for name, method in iter_methods(user_class):
                check_batched(method.raw, name, is_generator=method.is_generator)

    @property
    def handle(self) -> Cls:
        return Cls(self)

    def with_options(self, **options: Any) -> Target:
        other = ClassTarget(self.app, self.user_class, self.options.change(**options))
        self.app.keep(other)
        return other

    @property
    def has_mounts(self) -> bool:
        return self.options.has_mounts

    def list_handles(self) -> list[ResourceHandle]:
        return self.options.list_handles()

    def get_instance(self, parameters: bytes) -> InstanceTarget:
        return self._instances.setdefault(parameters, InstanceTarget(self, parameters))

    def get_pool(self) -> Pool:
        raise ExecutionError(f"{self.reference.tag} is a class: calls go to an instance")

    def dump_service(self) -> bytes:
        return dump(self.user_class, f"the class {self.reference.tag}")

    def get_local_service(self) -> Service:
        self.get_pool()
        raise AssertionError


class InstanceTarget(Target):
    """The instances of a class with the same parameters. They share their containers."""

    def __init__(self, cls: ClassTarget, parameters: bytes) -> None:
        self.reference = replace(cls.reference, parameters=parameters)
        self._cls = cls
        self._local: Service | None = None

    @property
    def has_mounts(self) -> bool:
        return self._cls.has_mounts

    @property
    def home(self) -> Home:
        return self._cls.app

    def find_refusal(self, method: str) -> str | None:
        user_class = self._cls.user_class
        return find_refusal(find_attribute(user_class, method)) or find_refusal(user_class)

    def get_batching(self, method: str) -> Batching | None:
        raw = get_method(self._cls.user_class, method)
        return self._cls.options.batching or getattr(raw, BATCHING, None)

    def make_service(self) -> ClassService:
        args, kwargs = load_arguments(self.reference.parameters or b"")
        return ClassService(self._cls.user_class, args, kwargs, self.reference)

    def dump_service(self) -> bytes:
        said = f"the class {self.reference.tag}"
        if self._cls.origin is not None:
            return dump_imported(self._cls.origin, self.reference.parameters, said)
        return dump(self.make_service(), said)

    def get_pool(self) -> Pool:
        return self._get_pool("", self._cls.options)

    def get_server_pool(self, method: str) -> Pool:
        return self._get_pool(f" {method}", self._cls.options.for_a_server())

    def _get_pool(self, which: str, options: Options) -> Pool:
        name = self.reference.tag
        key = f"{self.reference.id} {self.reference.parameters!r}{which}"
        return self._cls.app.get_pool(
            key,
            options.to_pool_options(name),
            lambda: start_container(name, options, self.dump_service()),
        )

    def get_local_service(self) -> Service:
        if self._local is None:
            service = self.make_service()
            start_service(service)
            self._local = service
        return self._local


class Cls(HasTarget):
    """A class whose methods run in containers. Calling it gives an instance (``Obj``)."""

    def __init__(self, target: Target) -> None:
        self._target = target

    @classmethod
    def from_name(cls, app_name: str, name: str, **_: Any) -> Cls:
        """A class of an app that this program defines, now or later. It is found in its
        containers, too.

        The first use looks the class up: NotFoundError if there is none.
        """
        with suppress(NotFoundError):
            return _get_cls(app_name, name)
        return _NamedCls(app_name, name)

    @classmethod
    def lookup(cls, app_name: str, name: str, **_: Any) -> Cls:
        """Modal's former name for ``from_name``. NotFoundError at once."""
        warn_of("Cls.lookup any more", "Cls.from_name")
        return _get_cls(app_name, name)

    @classmethod
    def from_local(cls, app: Home, user_class: type, options: Options) -> Cls:
        target = ClassTarget(app, user_class, options)
        register(target)
        return Cls(target)

    @property
    def name(self) -> str:
        return self._target.reference.tag

    def get_user_class(self) -> type:
        """The Python class itself, in the process that defines it."""
        found: type = getattr(self._target, "user_class", object)
        return found

    def list_methods(self) -> list[str]:
        """The names of the methods that can be called, in the process that defines the class."""
        return [name for name, _ in iter_methods(getattr(self._target, "user_class", object))]

    def get_raw(self, method: str) -> Callable[..., Any]:
        """The Python function of a method, where the class is defined. AttributeError."""
        return get_method(getattr(self._target, "user_class", object), method)

    def with_options(self, **options: Any) -> Cls:
        """The same class with other options, and with containers of its own. InvalidError."""
        return Cls(self._target.with_options(**options))

    def with_concurrency(self, *, max_inputs: int, target_inputs: int | None = None) -> Cls:
        """The same class with containers that run several calls at once, in threads."""
        return self.with_options(lanes=check_lanes(max_inputs, target_inputs))

    def with_batching(self, *, max_batch_size: int, wait_ms: int) -> Cls:
        """The same class with methods that are ``batched`` with these limits. InvalidError."""
        return self.with_options(batching=make_batching(max_batch_size, wait_ms))

    def __call__(self, *args: Any, **kwargs: Any) -> Obj:
        """An instance with these parameters. TypeError."""
        target = self._target
        if isinstance(target, ClassTarget):
            _check_parameters(target.user_class, args, kwargs)
        parameters = dump_arguments(args, kwargs, self.name)
        return Obj(target.get_instance(parameters))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        user_class = getattr(self._target, "user_class", None)
        if user_class is not None and not is_method(user_class, name):
            return _hide_identity(getattr(user_class, name))
        try:
            instance = self()
        except TypeError as error:  # code that looks for attributes expects no other error
            raise AttributeError(str(error)) from None
        return getattr(instance, name)

    def __repr__(self) -> str:
        return f"volfs.Cls({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_cls, (self._target.reference,)


def _get_cls(app_name: str, name: str) -> Cls:
    """The class of an app, by name. NotFoundError."""
    found = get_handle(app_name, name)
    if not isinstance(found, Cls):
        raise NotFoundError(f"{name} of {app_name} is no class, but {found!r}")
    return found


class _NamedCls(Cls):
    """A class that is looked up by name at each use, until it exists."""

    def __init__(self, app_name: str, name: str) -> None:
        self._names = app_name, name

    @property
    def _target(self) -> Target:  # type: ignore[override]
        return _get_cls(*self._names)._target

    @property
    def name(self) -> str:
        return self._names[1]

    def __reduce__(self) -> tuple[Any, ...]:
        return Cls.from_name, self._names


def _hide_identity(attribute: Any) -> Any:
    """Hide a function's name from pickle. A function with a name is pickled by name, but the
    functions of a class must be pickled whole."""
    return partial(attribute) if isinstance(attribute, FunctionType) else attribute


def _restore_cls(reference: TargetReference) -> Cls:
    return Cls(restore_target(reference))


class Obj:
    """An instance of a class, in whatever process it lives."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        target, tag = self._target, self._target.reference.tag
        if isinstance(target, InstanceTarget):
            found = find_attribute(target._cls.user_class, name)
            if not is_method(target._cls.user_class, name):
                return self._get_local(name)
            return Function(target, f"{tag}.{name}", method=name, is_generator=found.is_generator)
        return Function(target, f"{tag}.{name}", method=name, is_generator=self._ask(name))

    def _ask(self, name: str) -> bool:
        """Whether a method is a generator, if the class is defined in another process.
        AttributeError."""
        service = pickle.loads(self._target.dump_service())
        found = find_attribute(service.cls, name)
        if not is_method(service.cls, name):
            raise AttributeError(f"{service.cls.__name__} has no method {name!r}")
        return bool(found.is_generator)

    def _get_local(self, name: str) -> Any:
        """An attribute of the instance in this process."""
        target = self._target
        assert isinstance(target, InstanceTarget)
        service = target.get_local_service()
        return getattr(service.instance, name)  # type: ignore[attr-defined]

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_obj, (self._target.reference,)


def _restore_obj(reference: TargetReference) -> Obj:
    return Obj(restore_target(reference))


def _check_parameters(user_class: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if find_parameters(user_class):
        set_parameters(object.__new__(user_class), *args, **kwargs)


def prepare_class(user_class: type) -> None:
    """Give a class the ``__init__`` that sets its parameters, if it has any. InvalidError.

    Functions that have only the mark of an endpoint or of batches become methods.
    """
    make_methods(user_class)
    _check_batched_methods(user_class)
    if not find_parameters(user_class):
        return
    if "__init__" in vars(user_class):
        raise InvalidError(
            f"{user_class.__name__} has parameters and an __init__; put what it does in an @enter"
        )
    user_class.__init__ = set_parameters  # type: ignore[misc]


def _check_batched_methods(user_class: type) -> None:
    """Raise InvalidError for a batched method that cannot be given lists."""
    for name, method in iter_methods(user_class):
        if hasattr(method.raw, BATCHING):
            check_batched(method.raw, name, is_generator=method.is_generator)
