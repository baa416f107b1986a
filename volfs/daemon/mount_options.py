"""What a mount can be asked for. The command line and the Python API fill it in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from volfs.model.names import MAIN, join_name

AtEnd = Literal["commit", "keep", "discard"]


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """The bucket of a mount: all that a daemon needs to open it. Secrets are in no repr.

    It goes to a daemon by ``fork`` or through the launcher's socket, never by arguments.
    """

    address: str
    """As ``volfs.buckets.address`` takes it; without secrets."""
    secret: dict[str, str] | None = field(default=None, repr=False)
    """The values of a Secret. Credentials in it are the only ones that are looked at."""
    environ: dict[str, str] | None = field(default=None, repr=False)
    """The environment for credentials, endpoint and region; None: the daemon's own."""
    profile: str | None = None
    role_arn: str | None = None
    unsigned: bool = False
    requester_pays: bool = False
    metadata_ttl: float = 1.0
    """Seconds for which listings are believed."""
    deadline: float = 60.0
    """Seconds after which a request that got no answer fails."""


@dataclass(frozen=True, slots=True)
class MountOptions:
    """What a mount is asked to be, not checked yet (``launch.check_options`` does)."""

    store: str
    volume: str
    mountpoint: str
    foreground: bool = False
    read_only: bool = False
    at: str | None = None
    """A version, as ``volume/history.py`` names them: the mount is pinned there, read-only."""
    sub_path: str | None = None
    allow_other: bool = False
    nonempty: bool = False
    auto_commit: float | None = None
    """Seconds between background commits; None: the volume's default; 0: off."""
    auto_commit_else: float = 0.0
    """The same, where neither this mount nor the volume says."""
    adopt: str | None = None
    """The session whose overlay is brought to this place, by name."""
    at_end: AtEnd = "commit"
    """What becomes of changes at an end that does not say: with ``keep``, a left overlay."""
    while_fd: int | None = None
    """An inherited descriptor: the mount ends when it becomes readable, as a pidfd does."""
    sign_fd: int | None = None
    """An inherited descriptor of memory: the byte ``sign_at`` is the mount's ``Overlay.sign``."""
    sign_at: int = 0
    log: str | None = None
    """A file, ``syslog`` or ``journald``; None: ``log`` in the session's directory."""
    log_level: str | None = None
    """None: what ``VOLFS_LOG_LEVEL`` says, or else ``info``."""
    environment: str = MAIN
    """Of the volume's name."""
    bucket: BucketPlan | None = None
    """What is mounted instead of a volume; store and volume are empty then."""

    @property
    def full_name(self) -> str:
        """The volume's, with its environment where that is not ``main``."""
        return join_name(self.environment, self.volume)

    @property
    def is_read_only(self) -> bool:
        return self.read_only or self.at is not None
