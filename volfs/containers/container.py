"""A container: volumes mounted for it, and commands that see them at their places."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from volfs.buckets.address import parse_bucket_address
from volfs.containers.bwrap_layout import EMPTY, Shown, layout
from volfs.containers.guarding import share_guard
from volfs.containers.host import LocalHost
from volfs.containers.launching import Launcher
from volfs.containers.places import Place, clear_left
from volfs.containers.process import ContainerCommand, find_bwrap, start
from volfs.containers.temporary import PLACES, SHARE, Temporary, find_named, show_paths
from volfs.containers.volume_mounts import mounting, raise_first
from volfs.control.mount_client import MountClient, get_mount
from volfs.control.mounts import runtime_directory
from volfs.control.protocol import UnmountResult
from volfs.control.signs import Signs
from volfs.daemon.mount_options import AtEnd, BucketPlan, MountOptions
from volfs.errors import InvalidError, MountError, NotFoundError, VolfsError
from volfs.model.names import MAIN, check_volume_name, join_name, to_mount_path
from volfs.model.text import describe_error, to_text
from volfs.store.address import find_local_path
from volfs.store.location import choose_store

AUTO_COMMIT = 5.0
"""Seconds between background commits if the final commit is certain, and neither the spec nor the
volume sets an interval."""
CommitPolicy = Literal["always", "success", "never"]
Argument = str | bytes | os.PathLike[str]
_AT_END: dict[CommitPolicy, AtEnd] = {"always": "commit", "success": "keep", "never": "discard"}
_OWN = ("--die-with-parent",)


@dataclass(frozen=True)
class VolumeMount:
    """A volume, by its name, and the path at which the container sees it. With ``sub_path`` the
    container sees only this directory of the volume."""

    name: str
    path: str
    read_only: bool = False
    sub_path: str = ""
    network: bool = False
    environment: str = MAIN
    """The environment that the name belongs to."""

    @property
    def full_name(self) -> str:
        """The name of the volume, with its environment if that is not ``main``."""
        return join_name(self.environment, self.name)


@dataclass(frozen=True, eq=False)
class BucketMount:
    """A bucket, or a folder of one, and the path at which the container sees it."""

    plan: BucketPlan
    path: str
    read_only: bool = False

    @property
    def name(self) -> str:
        return parse_bucket_address(self.plan.address).bucket

    @property
    def full_name(self) -> str:
        return self.plan.address


AnyMount = VolumeMount | BucketMount


@dataclass(frozen=True)
class Bind:
    """A file or directory of the host that the container sees read-only at ``path``."""

    source: Path
    path: str


@dataclass(frozen=True)
class ContainerSpec:
    """The mounts and settings of a container. ``environment`` is added to the calling process's.

    ``commit`` says what becomes of the volumes' changes at the end. ``always`` commits them.
    ``success`` commits them only after a success, and else keeps them as an overlay that can still
    be committed (``volfs overlays``). ``never`` drops them.
    """

    mounts: tuple[AnyMount, ...] = ()
    binds: tuple[Bind, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    workdir: str | None = None
    commit: CommitPolicy = "always"
    auto_commit: float | None = None
    """Seconds between background commits; 0 means none. None means the volume's default, else
    5."""
    share_tmp: bool = False
    """Whether the container sees the machine's /tmp and /var/tmp. VOLFS_SHARE_TMP=1 has the same
    effect."""
    message: str = ""
    """What runs in the container, as the log of its volumes says it."""
    visible: tuple[str, ...] = ()
    """Paths below /tmp and /var/tmp that the container sees in any case, besides those that this
    process uses."""


class Container:
    """One container. The constructor mounts the volumes; ``start`` runs commands; ``close`` ends
    the commands, commits and unmounts.

    A container is a context manager: an exception in the block means no success. If this process
    dies, the commands are killed, and the daemons commit the volumes (by the policy) and unmount
    them.
    """

    def __init__(
        self, spec: ContainerSpec, store: str | None = None, launcher: Launcher | None = None
    ) -> None:
        """Return when all volumes are mounted. InvalidError, NotFoundError, MountError.

        A ``launcher`` that has begun already makes this quicker.
        """
        check_spec(spec)
        self.spec = spec
        self._store = choose_store(store)
        self._runtime = os.path.abspath(runtime_directory())
        self._lock = threading.Lock()
        self._processes: list[ContainerCommand] = []
        self._mounted: dict[AnyMount, Path] = {}
        self.left: list[str] = []
        """The names of the overlays with changes that were not committed. Complete after
        ``close``."""
        bwrap = find_bwrap()
        clear_left()
        self._place = Place()
        self._signs = Signs(len(spec.mounts))
        self._temporary: Temporary | None = None
        try:
            if not (spec.share_tmp or os.environ.get(SHARE, "0") not in ("", "0")):
                self._temporary = Temporary(share_guard())
            for number, mount in enumerate(spec.mounts):
                self._mounted[mount] = self._place.make_mountpoint(f"{number}-{mount.name}")
            options = [self._make_options(at, mount) for at, mount in enumerate(spec.mounts)]
            with mounting(options, self._signs, launcher):
                _probe(bwrap)
            self._layout = self._make_layout()
        except BaseException:
            self._unmount_all(_discard)
            self._remove()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(success=kind is None)

    def start(self, argv: Sequence[Argument], **popen_options: Any) -> ContainerCommand:
        """Start a command. Options are those of Popen. Several commands may run at the same time.

        ``env``, if given, replaces the calling process's environment. ``VOLFS_STORE`` names this
        container's store.
        """
        environment = popen_options.pop("env", None)
        environment = {**(os.environ if environment is None else environment)}
        environment |= self.spec.environment
        environment |= {"VOLFS_STORE": self._store, "VOLFS_RUNTIME_DIR": self._runtime}
        # If there are volumes, their daemons kill the commands, as the guard would.
        guard = None if self.spec.mounts and self._temporary is None else share_guard()
        layout = [*self._layout, *self._show_named(argv, environment)]
        process = start(
            lambda: ContainerCommand(layout, argv, guard, env=environment, **popen_options)
        )
        with self._lock:
            self._processes.append(process)
        return process

    def _show_named(
        self, argv: Sequence[Argument], environment: Mapping[str, str]
    ) -> Iterator[str]:
        """Show the paths in the machine's /tmp that a command's words and variables name, as
        arguments of bwrap."""
        if self._temporary is None:
            return
        self._temporary.make_inside(environment.get("TMPDIR"))
        words = (*map(os.fsdecode, argv), *find_named(environment))
        named = (word for word in words if word not in PLACES)
        for one in show_paths(named, self._places):
            yield from ("--bind", one.source, one.path)

    def mountpoint(self, mount: AnyMount) -> Path:
        """The path on the host at which a mount of this container is."""
        return self._mounted[mount]

    def has_lost_a_volume(self) -> bool:
        """Whether a daemon of the container's mounts has died, so that the mount does not answer
        any more."""
        try:
            return not all(get_mount(os.fspath(p)).is_alive() for p in self._mounted.values())
        except VolfsError:
            return True

    def close(self, success: bool = True) -> None:
        """End the commands that still run, commit by the policy, and unmount. May be called again.

        If a commit fails, everything is unmounted all the same, the changes stay as an overlay,
        and the error is raised.
        """
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()
        errors = self._unmount_all(lambda client: self._end(client, success=success))
        self._remove()
        raise_first(errors)

    def _remove(self) -> None:
        self._signs.close()
        self._place.remove()
        if self._temporary is not None:
            self._temporary.remove()

    def commit_changes(self) -> None:
        """Commit the volumes that have changed, also if there are background commits.

        All volumes are tried, even if one fails. Its error is raised afterwards.
        """
        errors: list[VolfsError] = []
        for number, (mount, place) in enumerate(self._mounted.items()):
            if self._signs.is_set(number):
                try:
                    get_mount(os.fspath(place)).commit_changes()
                except VolfsError as error:
                    errors.append(type(error)(f"{mount.name}: {error}"))
        raise_first(errors)

    def _end(self, client: MountClient, *, success: bool) -> None:
        publishing = success and self.spec.commit == "success"
        at_end = "commit" if publishing else _AT_END[self.spec.commit]
        try:
            self._note(client.unmount(at_end=at_end))
        except VolfsError:
            with contextlib.suppress(MountError):  # The caller needs the first error.
                self._note(client.unmount(at_end="keep"))
            raise

    def _note(self, ended: UnmountResult) -> None:
        if ended.overlay:
            self.left.append(ended.overlay)

    # --- mounting ----------------------------------------------------------

    def _make_options(self, number: int, mount: AnyMount) -> MountOptions:
        if isinstance(mount, BucketMount):
            place = os.fspath(self._mounted[mount])
            return MountOptions(
                "", "", place, read_only=mount.read_only, environment=MAIN, bucket=mount.plan
            )
        return MountOptions(
            self._store,
            mount.name,
            os.fspath(self._mounted[mount]),
            read_only=mount.read_only,
            sub_path=mount.sub_path or None,
            auto_commit=self.spec.auto_commit if self.spec.commit == "always" else 0.0,
            auto_commit_else=AUTO_COMMIT,
            at_end=_AT_END[self.spec.commit],
            sign_at=number,
            message=self.spec.message,
            environment=mount.environment,
        )

    def _make_layout(self) -> list[str]:
        shown = [
            Shown(os.fspath(self._mounted[mount]), _to_path(mount), mount.read_only)
            for mount in self.spec.mounts
        ]
        for bind in self.spec.binds:
            source = os.path.realpath(bind.source)
            if not os.path.exists(source):
                raise NotFoundError(f"{bind.source}: no such file or directory")
            shown.append(Shown(source, bind.path, True, os.path.isdir(source)))
        workdir = self.spec.workdir
        if workdir and not os.path.isdir(workdir) and not _is_shown(workdir, shown):
            shown.append(Shown(EMPTY, workdir))
        if self._temporary is not None:
            kept = show_paths(self._list_visible(), [item.path for item in shown])
            shown += [*self._temporary.show(), *kept]
        self._places = [item.path for item in shown]
        place = ("--chdir", self.spec.workdir) if self.spec.workdir else ()
        return [*layout(LocalHost(), shown), *_OWN, *place]

    def _list_visible(self) -> list[str]:
        """The paths that this process works with, and that the container must see."""
        local = find_local_path(self._store)
        python = (sys.prefix, sys.base_prefix, os.path.dirname(sys.executable))
        used = (self._runtime, str(local or ""), os.getcwd(), self.spec.workdir or "")
        return [*(path for path in used if path not in PLACES), *python, *self.spec.visible]

    # --- unmounting --------------------------------------------------------

    def _unmount_all(self, end: Callable[[MountClient], None]) -> list[VolfsError]:
        """Unmount all mounts at once, even if one fails, and return the errors."""
        mounted, self._mounted = self._mounted, {}

        errors: list[VolfsError] = []

        def unmount(mount: AnyMount) -> None:
            try:
                client = get_mount(os.fspath(mounted[mount]))
                if not client.is_alive():
                    raise MountError("its daemon died; `volfs overlays` shows what it has left")
                if isinstance(mount, BucketMount):
                    client.unmount(at_end="commit")  # closed files are uploaded already
                else:
                    end(client)
            except VolfsError as error:
                errors.append(type(error)(f"{mount.full_name}: {error}"))
            except Exception as error:  # noqa: BLE001 - a thread has no caller to raise it to
                said = f"{type(error).__name__}: {describe_error(error)}"
                errors.append(MountError(f"{mount.full_name}: {said}"))

        threads = [threading.Thread(target=unmount, args=(mount,)) for mount in mounted]
        for thread in threads:  # An executor refuses work while the interpreter ends.
            thread.start()
        for thread in threads:
            thread.join()
        return errors


def _is_shown(path: str, shown: Sequence[Shown]) -> bool:
    """Whether a path is, or lies within, something that the container is given."""
    return any(f"{path}/".startswith(f"{item.path}/") for item in shown)


def check_spec(spec: ContainerSpec) -> None:
    """Raise InvalidError for a spec that cannot work, whatever the store and the host contain."""
    if spec.commit not in _AT_END:
        raise InvalidError(f"commit {spec.commit!r}: use {', '.join(_AT_END)}")
    if spec.auto_commit and spec.commit != "always":
        raise InvalidError(f"with commit {spec.commit!r} there are no commits in the background")
    names: set[str] = set()
    for mount in spec.mounts:
        _to_path(mount)
        if isinstance(mount, BucketMount):
            parse_bucket_address(mount.plan.address)
            continue
        check_volume_name(mount.name)
        if mount.full_name in names:
            raise InvalidError(f"the volume {mount.full_name} cannot be mounted in two places")
        names.add(mount.full_name)


def _to_path(mount: AnyMount) -> str:
    if isinstance(mount, BucketMount):
        return to_mount_path("CloudBucketMount", mount.path)
    kind = "NetworkFileSystem" if mount.network else "Volume"
    return to_mount_path(kind, mount.path)


def _discard(client: MountClient) -> None:
    client.unmount(discard=True)


def _probe(bwrap: str) -> None:
    """Raise MountError if this machine or user cannot make containers."""
    command = [bwrap, "--dev-bind", "/", "/", *_OWN, "--", "/usr/bin/env"]
    done = subprocess.run([*command, "true"], capture_output=True, check=False)
    if done.returncode != 0:
        raise MountError(f"containers cannot be made here: {to_text(done.stderr.strip())}")
