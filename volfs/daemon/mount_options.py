"""The options of a mount. The command line and the Python API fill them in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from volfs.model.names import MAIN, join_name

AtEnd = Literal["commit", "keep", "discard"]


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """The bucket of a mount: all that a daemon needs to open it. No repr shows its secrets.

    It reaches a daemon by ``fork`` or through the launcher's socket, never by arguments.
    """

    address: str
    """The address as ``volfs.buckets.address`` takes it, without secrets."""
    secret: dict[str, str] | None = field(default=None, repr=False)
    """The values of a Secret. If it has credentials, no others are looked for."""
    environ: dict[str, str] | None = field(default=None, repr=False)
    """The environment with credentials, endpoint and region; None: the daemon's own."""
    profile: str | None = None
    role_arn: str | None = None
    unsigned: bool = False
    requester_pays: bool = False
    metadata_ttl: float = 1.0
    """Seconds for which a listing is trusted."""
    deadline: float = 60.0
    """Seconds after which a request without an answer fails."""


@dataclass(frozen=True, slots=True)
class MountOptions:
    """What a mount is asked to be. ``launch.check_options`` checks it later."""

    store: str
    volume: str
    mountpoint: str
    foreground: bool = False
    read_only: bool = False
    at: str | None = None
    """A version, as ``volume/history.py`` names them. The mount is pinned there, and read-only."""
    follow: bool = False
    """Whether the mount, read-only, shows each new version as it is published."""
    on_version: str | None = None
    """A shell command that runs after each new version that the mount follows to."""
    sub_path: str | None = None
    allow_other: bool = False
    no_exec: bool = False
    """Whether the kernel refuses to execute programs of the mount."""
    nonempty: bool = False
    auto_commit: float | None = None
    """Seconds between background commits; None: the volume's default; 0: off."""
    auto_commit_else: float = 0.0
    """The same interval, if neither this mount nor the volume has one."""
    adopt: str | None = None
    """The name of the session whose overlay is brought to this place."""
    at_end: AtEnd = "commit"
    """What becomes of changes at an end that does not say. With ``keep`` they stay as an
    overlay."""
    while_fd: int | None = None
    """An inherited descriptor. The mount ends when it becomes readable, as a pidfd does."""
    sign_fd: int | None = None
    """An inherited descriptor of memory. Its byte ``sign_at`` is the mount's ``Overlay.sign``."""
    sign_at: int = 0
    log: str | None = None
    """A file, ``syslog`` or ``journald``; None: a file in the store's ``logs`` directory, as
    ``launch`` chooses it."""
    log_level: str | None = None
    """The level; None: that of ``VOLFS_LOG_LEVEL``, else ``info``."""
    slow_log: float | None = None
    """A request that takes so many milliseconds, or more, is a line of the log. None: the limit is
    that of ``VOLFS_SLOW_LOG``, and without it there is none."""
    message: str = ""
    """What works in the mount: the message of the commits that nobody asks for by name."""
    environment: str = MAIN
    """The environment of the volume's name."""
    bucket: BucketPlan | None = None
    """The bucket that is mounted instead of a volume. Store and volume are empty then."""

    @property
    def full_name(self) -> str:
        """The volume's name, with its environment if that is not ``main``."""
        return join_name(self.environment, self.volume)

    @property
    def is_read_only(self) -> bool:
        return self.read_only or self.follow or self.at is not None
