"""Parameters of functions as options of the command line, by their annotations and defaults.

A parameter that the command line leaves out is not passed, so that the function's own default
applies.
"""

from __future__ import annotations

import collections.abc
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

ParsedArguments = tuple[list[Any], dict[str, Any]]
_EMPTY = inspect.Parameter.empty
_COLLECTIONS: dict[Any, Callable[[Iterable[Any]], Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: list,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
}


class _NamedValue(click.ParamType[Any]):
    """The type of an option with a fixed set of values, each of which has a name."""

    name = "choice"

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self._choice = click.Choice(list(values))

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return self._values[self._choice.convert(value, param, ctx)]

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join(self._values)}]"


class _FirstOf(click.ParamType[Any]):
    """A type that tries several types in order, and takes the first that accepts the word."""

    def __init__(self, kinds: list[click.ParamType[Any]]) -> None:
        self._kinds = kinds
        self.name = " or ".join(kind.name for kind in kinds)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        for kind in self._kinds:
            try:
                return kind.convert(value, param, ctx)
            except click.BadParameter:
                continue
        raise click.BadParameter(f"{value!r} is no {self.name}", ctx, param)


def _by(make: Callable[[str], Any], name: str) -> click.ParamType[Any]:
    """A type that calls ``make`` with a word. ``make`` raises ValueError for a wrong word."""
    kind = click.types.FuncParamType(make)
    kind.name = name
    return kind


_TYPES: dict[Any, click.ParamType[Any]] = {
    str: click.STRING,
    bytes: _by(lambda word: word.encode(errors="surrogateescape"), "bytes"),
    int: click.INT,
    float: click.FLOAT,
    bool: click.BOOL,
    datetime: click.DateTime(),
    date: _by(date.fromisoformat, "date"),
    time: _by(time.fromisoformat, "time"),
    uuid.UUID: click.UUID,
    Path: click.Path(path_type=Path),
    PurePath: click.Path(path_type=PurePath),
    type(None): click.STRING,
    object: click.STRING,
    Any: click.STRING,
}


class _Kind(NamedTuple):
    """The form of a parameter on the command line: the type of a word, whether it is a flag, and
    how several words become one value."""

    type: click.ParamType[Any]
    is_flag: bool = False
    collect: Callable[[Iterable[Any]], Any] | None = None


# --- parameters of a function -------------------------------------------------


def read_parameters(raw: Callable[..., Any], *, skip: int = 0) -> Parameters:
    """The parameters of a function, without the first ``skip``, such as ``self``. UsageError."""
    hints = _get_hints(raw)
    given = list(inspect.signature(raw).parameters.values())[skip:]
    return Parameters([one.replace(annotation=hints.get(one.name, _EMPTY)) for one in given])


class Parameters:
    """The parameters that the command line gives. UsageError for one that it cannot give."""

    def __init__(self, given: list[inspect.Parameter]) -> None:
        self._given = [one for one in given if one.kind is not one.VAR_KEYWORD]
        self.rest = next((one for one in self._given if one.kind is one.VAR_POSITIONAL), None)
        self._kinds = {one.name: _find_kind(one) for one in self._given if one is not self.rest}

    def make_options(self) -> list[click.Parameter]:
        options: list[click.Parameter] = [
            _make_option(one, self._kinds[one.name]) for one in self._given if one is not self.rest
        ]
        if self.rest is not None:
            name = self.rest.name.lower()
            options.append(click.Argument([name], nargs=-1, type=click.UNPROCESSED))
        return options

    def take(self, context: click.Context) -> ParsedArguments:
        """The values from the command line, as the function's arguments."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for one in self._given:
            if one is self.rest:
                args += context.params[one.name.lower()]
            elif self.is_said(context, one.name) or self._is_before_rest(one):
                value = self._get_value(context, one)
                if one.kind is one.POSITIONAL_ONLY or self._is_before_rest(one):
                    args.append(value)
                else:
                    kwargs[one.name] = value
        return args, kwargs

    def is_said(self, context: click.Context, name: str) -> bool:
        return context.get_parameter_source(name) is ParameterSource.COMMANDLINE

    def _is_before_rest(self, one: inspect.Parameter) -> bool:
        """Whether the value must be passed by position, because later values are passed by
        position."""
        has_place = one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        return has_place and (self.rest is not None or self._is_before_said(one))

    def _is_before_said(self, one: inspect.Parameter) -> bool:
        if one.kind is not one.POSITIONAL_ONLY:
            return False
        context = click.get_current_context()
        later = self._given[self._given.index(one) + 1 :]
        return any(o.kind is o.POSITIONAL_ONLY and self.is_said(context, o.name) for o in later)

    def _get_value(self, context: click.Context, one: inspect.Parameter) -> Any:
        if not self.is_said(context, one.name):
            return one.default
        value, collect = context.params[one.name], self._kinds[one.name].collect
        return collect(value) if collect else value


def _get_hints(raw: Callable[..., Any]) -> dict[str, Any]:
    """The annotations, without those that only type checkers understand."""
    try:
        return typing.get_type_hints(raw)
    except Exception:  # noqa: BLE001 - annotations may name things that exist only for type checkers
        return {
            name: hint
            for name, annotation in getattr(raw, "__annotations__", {}).items()
            if (hint := _evaluate(annotation, raw)) is not None
        }


def _evaluate(annotation: Any, raw: Callable[..., Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, getattr(raw, "__globals__", {}))
    except Exception:  # noqa: BLE001 - as above
        return _EMPTY


# --- one parameter ------------------------------------------------------------


def _make_option(parameter: inspect.Parameter, kind: _Kind) -> click.Option:
    dashed = parameter.name.strip("_").replace("_", "-")
    names = [f"--{dashed}/--no-{dashed}"] if kind.is_flag else [f"--{dashed}"]
    has_default = parameter.default is not _EMPTY
    shown = has_default and parameter.default is not None
    given: dict[str, Any] = {"default": None} if has_default else {"required": True}
    return click.Option(
        [*names, parameter.name],
        type=kind.type,
        show_default=_show(parameter.default) if shown else False,
        multiple=kind.collect is not None,
        **given,
    )


def _show(default: Any) -> str:
    if isinstance(default, enum.Enum):
        return default.name
    if isinstance(default, list | tuple | set | frozenset):
        return ", ".join(map(str, default)) or "none"
    return str(default)


def _find_kind(parameter: inspect.Parameter) -> _Kind:
    """The form of a parameter, by its annotation, else by its default. UsageError."""
    annotation = parameter.annotation
    if annotation is _EMPTY or annotation is Any:
        annotation = _guess(parameter.default)
    kind = _to_kind(_strip(annotation))
    if kind is None:
        said = annotation.__name__ if isinstance(annotation, type) else annotation
        raise click.UsageError(
            f"the parameter {parameter.name}: {said} cannot be an option of the command line"
        )
    return kind


def _guess(default: Any) -> Any:
    """The type of a parameter that has only a default."""
    if isinstance(default, list | tuple | set | frozenset):
        items = {type(item) for item in default}
        return type(default)[items.pop() if len(items) == 1 else str, ...]  # type: ignore[index]
    kind = type(default)
    known = kind in _TYPES or issubclass(kind, enum.Enum | PurePath)
    return kind if default is not _EMPTY and known else str


def _to_kind(annotation: Any) -> _Kind | None:
    if annotation is bool:
        return _Kind(click.BOOL, is_flag=True)
    origin = typing.get_origin(annotation) or annotation
    collect = _COLLECTIONS.get(origin)
    if collect is None:
        found = _to_type(annotation)
        return _Kind(found) if found else None
    items = [item for item in typing.get_args(annotation) if item is not ...]
    if len(items) > 1:
        return None
    found = _to_type(_strip(items[0])) if items else click.STRING
    return _Kind(found, collect=collect) if found else None


def _to_type(annotation: Any) -> click.ParamType[Any] | None:
    """The type of one word with this annotation; None if it has no form on the command line."""
    if typing.get_origin(annotation) is typing.Literal:
        return _NamedValue({str(value): value for value in typing.get_args(annotation)})
    if _is_union(annotation):
        kinds = [_to_type(_strip(one)) for one in typing.get_args(annotation)]
        return _FirstOf([kind for kind in kinds if kind]) if all(kinds) else None
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _NamedValue(dict(annotation.__members__))
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return click.Path(path_type=annotation)
    return _TYPES.get(annotation) if isinstance(annotation, collections.abc.Hashable) else None


def _strip(annotation: Any) -> Any:
    """Simplify an annotation: ``int
    None`` becomes ``int``, and so does a NewType of it, and ``Annotated[int, …]``.
    """
    while hasattr(annotation, "__supertype__"):
        annotation = annotation.__supertype__
    if typing.get_origin(annotation) is typing.Annotated:
        return _strip(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is typing.Literal:
        values = tuple(one for one in typing.get_args(annotation) if one is not None)
        return typing.Literal[values]
    if _is_union(annotation):
        others = [one for one in typing.get_args(annotation) if one is not type(None)]
        return _strip(others[0]) if len(others) == 1 else typing.Union[tuple(others)]  # noqa: UP007
    return annotation


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)
