"""Options of opening a bucket: which credentials to use, and where to find them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from volfs.buckets.calls import DEADLINE


@dataclass(frozen=True)
class BucketOptions:
    """Facts that an address must not have, or does not have. A repr shows no secret."""

    secret: Mapping[str, str] | None = field(default=None, repr=False)
    """The values of a Secret. If there is one, no other credentials are looked for."""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    """The environment, for credentials if there is no secret, and for the endpoint and the
    region."""
    profile: str | None = None
    """A profile in AWS's files, which comes before the environment."""
    role_arn: str | None = None
    """The role to take with the token of a web identity."""
    unsigned: bool = False
    """Send requests without credentials, even if there are some."""
    requester_pays: bool = False
    deadline: float = DEADLINE
    """Seconds after which a call without an answer fails."""

    def find(self, *names: str) -> str | None:
        """The first of these variables that has a value. All those of the secret come before those
        of the environment."""
        for source in (self.secret or {}, self.environ):
            for name in names:
                if source.get(name):
                    return source[name]
        return None
