"""How a bucket is opened: with whose credentials, and where from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from volfs.buckets.calls import DEADLINE


@dataclass(frozen=True)
class BucketOptions:
    """What an address must not say, or does not. Nothing here is shown in a repr."""

    secret: Mapping[str, str] | None = field(default=None, repr=False)
    """The values of a Secret. Credentials in it are the only ones that are looked at."""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    """The environment: credentials where there is no secret, and the endpoint and region."""
    profile: str | None = None
    """A profile of AWS's files, instead of what the environment says."""
    role_arn: str | None = None
    """The role to take with the token of a web identity."""
    unsigned: bool = False
    """Send requests without credentials, even if there are some."""
    requester_pays: bool = False
    deadline: float = DEADLINE
    """Seconds after which a call that got no answer fails."""

    def find(self, *names: str) -> str | None:
        """The first of some variables: all of the secret's before those of the environment."""
        for source in (self.secret or {}, self.environ):
            for name in names:
                if source.get(name):
                    return source[name]
        return None
