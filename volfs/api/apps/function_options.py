"""The options of a function or class of an app: mounts, secrets, limits. They are checked and
combined here."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from volfs.api import mount_rules
from volfs.api.apps.building import Recipe
from volfs.api.apps.notes import note
from volfs.api.cloud_bucket_mount import CloudBucketMount
from volfs.api.resource import ResourceHandle
from volfs.api.secret import Secret
from volfs.containers.container import AUTO_COMMIT
from volfs.containers.gathering import Batching
from volfs.containers.pool import PoolOptions
from volfs.containers.retries import Retries
from volfs.errors import DeprecatedWarning, InvalidError

_NOTED = {
    *("gpu", "cpu", "memory", "ephemeral_disk", "cloud", "region", "proxy", "nonpreemptible"),
    *("schedule", "min_containers", "buffer_containers", "startup_timeout", "i6pn"),
    *("enable_memory_snapshot", "block_network", "restrict_modal_access", "restrict_output"),
    *("experimental_options", "serialized", "include_source", "routing_region"),
    *("keep_warm", "mounts", "interactive", "checkpointing_enabled"),
}
"""Options of Modal's decorators that mean nothing on one machine."""
_SILENT = {"serialized", "include_source"}
"""Those of these options that volfs fulfils anyway."""


_OLDER = {
    "allow_concurrent_inputs": "lanes",
    "concurrency_limit": "max_containers",
    "container_idle_timeout": "scaledown_window",
    "shared_volumes": "network_file_systems",
}
"""Former names of options of Modal's decorators, with today's names."""


@dataclass(frozen=True)
class Options:
    """The options of a function or class. Times are in seconds."""

    image: Recipe | None = None
    volumes: Mapping[str | PurePosixPath, Any] = field(default_factory=dict)
    network_file_systems: Mapping[str | PurePosixPath, Any] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    retries: Retries = field(default_factory=lambda: Retries(0))
    max_containers: int | None = None
    scaledown_window: float = 60.0
    max_inputs: int | None = None
    """The number of calls after which a container ends."""
    lanes: int = 1
    batching: Batching | None = None
    share_tmp: bool = False
    auto_commit: float | None = None
    """Seconds between background commits. 0: none, and no commit when a call returns. None: the
    volume's default, else 5."""

    def change(
        self,
        *,
        image: Recipe | None = None,
        volumes: Mapping[str | PurePosixPath, Any] | None = None,
        network_file_systems: Mapping[str | PurePosixPath, Any] | None = None,
        cloud_bucket_mounts: Mapping[str | PurePosixPath, Any] | None = None,
        secrets: Sequence[Secret] | None = None,
        env: Mapping[str, str | None] | None = None,
        timeout: float | None = None,
        retries: int | Retries | None = None,
        max_containers: int | None = None,
        scaledown_window: float | None = None,
        max_inputs: int | None = None,
        single_use_containers: bool = False,
        lanes: int | None = None,
        batching: Batching | None = None,
        share_tmp: bool | None = None,
        auto_commit: float | bool | None = None,
        **noted: Any,
    ) -> Options:
        """These options with others on top. Mounts and variables are added, and secrets are
        appended. InvalidError."""
        note_ignored(noted)
        changed = {
            "image": image,
            "volumes": _join(
                mount_rules.VOLUME, self.volumes, _beside(volumes, cloud_bucket_mounts)
            ),
            "network_file_systems": _join(
                mount_rules.NETWORK_FILE_SYSTEM, self.network_file_systems, network_file_systems
            ),
            "secrets": (*self.secrets, *check_secrets(secrets)),
            "env": {**self.env, **check_env(env)},
            "timeout": _check_positive("timeout", timeout),
            "retries": _to_retries(retries),
            "max_containers": _check_positive("max_containers", max_containers),
            "scaledown_window": scaledown_window,
            "max_inputs": 1 if single_use_containers else _check_positive("max_inputs", max_inputs),
            "lanes": _check_positive("lanes", lanes),
            "batching": batching,
            "share_tmp": share_tmp,
            "auto_commit": _to_seconds(auto_commit),
        }
        return replace(self, **{key: value for key, value in changed.items() if value is not None})

    def for_a_server(self) -> Options:
        """The options for a ``web_server``: one container, which ends with its call, however long
        that takes."""
        return replace(self, timeout=None, max_containers=1, max_inputs=1, lanes=1)

    @property
    def has_mounts(self) -> bool:
        return bool(self.volumes or self.network_file_systems)

    def list_handles(self) -> list[ResourceHandle]:
        """The handles on the store's resources that containers get, including the secrets of
        buckets."""
        volumes = self.volumes.values()
        keys = (what.secret for what in volumes if isinstance(what, CloudBucketMount))
        given = (*volumes, *self.network_file_systems.values(), *self.secrets, *keys)
        return [what for what in given if isinstance(what, ResourceHandle)]

    def to_pool_options(self, name: str) -> PoolOptions:
        most = {} if self.max_containers is None else {"containers": self.max_containers}
        return PoolOptions(
            name,
            lanes=self.lanes,
            timeout=self.timeout,
            idle=self.scaledown_window,
            uses=self.max_inputs,
            retries=self.retries,
            **most,
        )


def rename_older(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options under today's names. DeprecationError (a warning) for older names."""
    renamed = {_OLDER.get(key, key): value for key, value in options.items()}
    if "secret" in renamed:
        secret = renamed.pop("secret")
        renamed["secrets"] = [*(renamed.get("secrets") or ()), *([secret] if secret else ())]
    older = [key for key in options if key in _OLDER or key == "secret"]
    if older:
        said = ", ".join(f"{_OLDER.get(key, 'secrets')}= for {key}=" for key in older)
        warnings.warn(f"options have other names now: {said}", DeprecatedWarning, stacklevel=3)
    return renamed


def note_ignored(noted: Mapping[str, Any]) -> None:
    """Log each ignored option once. TypeError for an unknown option."""
    for key, value in noted.items():
        if key not in _NOTED and not key.startswith("_experimental_"):
            raise TypeError(f"unexpected keyword argument {key!r}")
        if value is not None and key not in _SILENT:
            note(f"{key}=", "means nothing on one machine: accepted and ignored")


def check_secrets(secrets: Sequence[Secret] | None) -> tuple[Secret, ...]:
    given = tuple(secrets or ())
    for secret in given:
        if not isinstance(secret, Secret):
            raise InvalidError(f"secrets= has a {type(secret).__name__} in it, which is no Secret")
    return given


def check_env(env: Mapping[str, str | None] | None) -> dict[str, str]:
    """The variables, without those that are None."""
    return Secret.from_dict(env)._read() if env else {}


def _beside(
    volumes: Mapping[str | PurePosixPath, Any] | None,
    buckets: Mapping[str | PurePosixPath, Any] | None,
) -> dict[Any, Any]:
    """Check volumes and buckets, and join them. InvalidError if both name the same place."""
    given = [
        mount_rules.validate_mounts(mount_rules.VOLUME, each) for each in (volumes, buckets) if each
    ]
    pairs = [pair for each in given for pair in each]
    mount_rules.check_places(mount_rules.VOLUME, pairs)
    return dict(pairs)


def _join(kind: str, *given: Mapping[str | PurePosixPath, Any] | None) -> dict[Any, Any]:
    """Join mappings of mounts. Later ones replace earlier ones at the same place. InvalidError."""
    joined: dict[Any, Any] = {}
    for mapping in given:
        if mapping:
            joined |= dict(mount_rules.validate_mounts(kind, mapping))
    mount_rules.validate_mounts(kind, joined)
    return joined


def _check_positive(name: str, number: Any) -> Any:
    if number is not None and number <= 0:
        raise InvalidError(f"{name} must be positive, not {number}")
    return number


def _to_seconds(auto_commit: float | bool | None) -> float | None:
    """Seconds between background commits: False means none, and True means the default."""
    if isinstance(auto_commit, bool):
        return AUTO_COMMIT if auto_commit else 0.0
    return auto_commit and _check_positive("auto_commit", auto_commit)


def _to_retries(retries: int | Retries | None) -> Retries | None:
    if isinstance(retries, int):
        return Retries(retries, backoff_coefficient=1.0)
    if retries is None or isinstance(retries, Retries):
        return retries
    raise InvalidError(
        "Retries parameter must be an integer or instance of modal.Retries. "
        f"Found: {type(retries)}."
    )
