"""How a request to a bucket can fail: one table of failures, and the errors of volfs for them.

A door says which *failure* it met, with the service's own words. The table says which error of
volfs that is, whether to ask again, and what the user can do about it.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from volfs import errors


class FailureKind(Enum):
    """What went wrong, whichever service it was."""

    NO_OBJECT = "no-object"
    NO_BUCKET = "no-bucket"
    EXISTS = "exists"
    CHANGED = "changed"
    BAD_RANGE = "bad-range"
    NO_UPLOAD = "no-upload"
    BAD_KEY = "bad-key"
    EXPIRED = "expired"
    NO_CREDENTIALS = "no-credentials"
    DENIED = "denied"
    CLOCK = "clock"
    PAYER = "payer"
    ARCHIVED = "archived"
    FULL = "full"
    REGION = "region"
    INVALID = "invalid"
    BUSY = "busy"
    RACE = "race"
    SERVER = "server"
    RESET = "reset"
    TIMEOUT = "timeout"
    SHORT = "short"
    REFUSED = "refused"
    NO_HOST = "no-host"
    TLS = "tls"
    NO_TLS = "no-tls"
    ONLY_TLS = "only-tls"
    PROXY = "proxy"
    AWAY = "away"


class FailureRow(NamedTuple):
    """One line of the table."""

    error: type[errors.VolfsError]
    text: str
    """What happened, and what to do. The text follows ``VERB KEY: ``."""
    again: bool = False
    """Whether the same request may succeed in a moment."""
    unclear: bool = False
    """Whether the service may have carried out the request nevertheless."""


TABLE: dict[FailureKind, FailureRow] = {
    FailureKind.NO_OBJECT: FailureRow(errors.ObjectNotFoundError, "there is no such object"),
    FailureKind.NO_BUCKET: FailureRow(
        errors.BucketNotFoundError, "there is no such bucket; create it, or check its name"
    ),
    FailureKind.EXISTS: FailureRow(
        errors.ObjectExistsError, "an object of that name is there already"
    ),
    FailureKind.CHANGED: FailureRow(
        errors.ObjectChangedError, "the object was replaced or deleted meanwhile"
    ),
    FailureKind.BAD_RANGE: FailureRow(errors.InvalidError, "the object ends before that range"),
    FailureKind.NO_UPLOAD: FailureRow(
        errors.StoreError, "the multipart upload is gone: somebody aborted it, or it is too old"
    ),
    FailureKind.BAD_KEY: FailureRow(
        errors.StoreDeniedError,
        "the key is not known or its secret is wrong; check the credentials",
    ),
    FailureKind.EXPIRED: FailureRow(
        errors.StoreDeniedError, "the credentials have expired; renew them"
    ),
    FailureKind.NO_CREDENTIALS: FailureRow(
        errors.StoreDeniedError,
        "no credentials were found and the bucket is not public; set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or give a secret",
    ),
    FailureKind.DENIED: FailureRow(
        errors.StoreDeniedError, "these credentials may not do that; ask the bucket's owner"
    ),
    FailureKind.CLOCK: FailureRow(
        errors.StoreDeniedError, "this machine's clock differs from the service's; set the clock"
    ),
    FailureKind.PAYER: FailureRow(
        errors.StoreDeniedError,
        "the requester pays for reads of this bucket; set requester_pays",
    ),
    FailureKind.ARCHIVED: FailureRow(
        errors.StoreDeniedError, "the object is in an archive; have the service restore it first"
    ),
    FailureKind.FULL: FailureRow(
        errors.OutOfSpaceError, "the bucket has no room left, or its quota is used up"
    ),
    FailureKind.REGION: FailureRow(
        errors.StoreError, "the bucket is in another region; give that as region="
    ),
    FailureKind.INVALID: FailureRow(errors.StoreError, "the service does not take this request"),
    FailureKind.BUSY: FailureRow(
        errors.StoreUnavailableError, "the service asks for fewer requests", again=True
    ),
    FailureKind.RACE: FailureRow(
        errors.StoreUnavailableError, "others write the same object", again=True, unclear=True
    ),
    FailureKind.SERVER: FailureRow(
        errors.StoreUnavailableError, "the service has a fault", again=True, unclear=True
    ),
    FailureKind.RESET: FailureRow(
        errors.StoreUnavailableError, "the connection broke", again=True, unclear=True
    ),
    FailureKind.TIMEOUT: FailureRow(
        errors.StoreTimeoutError, "no answer came in time", again=True, unclear=True
    ),
    FailureKind.SHORT: FailureRow(
        errors.StoreUnavailableError, "the answer ended too early", again=True, unclear=True
    ),
    FailureKind.REFUSED: FailureRow(
        errors.StoreUnavailableError, "nothing answers there; check the endpoint", again=True
    ),
    FailureKind.NO_HOST: FailureRow(
        errors.StoreUnavailableError,
        "the host's name is not known; check the endpoint and the network",
        again=True,
    ),
    FailureKind.TLS: FailureRow(
        errors.StoreError, "the host's certificate is not trusted; check the endpoint"
    ),
    FailureKind.NO_TLS: FailureRow(
        errors.StoreError, "the host speaks no TLS at this port; use endpoint=http://HOST:PORT"
    ),
    FailureKind.ONLY_TLS: FailureRow(
        errors.StoreError, "the host speaks TLS at this port; use endpoint=https://HOST:PORT"
    ),
    FailureKind.PROXY: FailureRow(
        errors.StoreUnavailableError,
        "the HTTP proxy does not let it through; check https_proxy, http_proxy and no_proxy",
        again=True,
    ),
    FailureKind.AWAY: FailureRow(
        errors.StoreUnavailableError,
        "nothing has answered for some time; the service is tried again every few seconds",
    ),
}


class RequestFailure(Exception):  # noqa: N818 - what is raised to users is an error of volfs
    """One request that failed: the kind of failure, and what the service said in its own words."""

    def __init__(
        self,
        kind: FailureKind,
        detail: str = "",
        *,
        status: int = 0,
        wait: float | None = None,
        region: str = "",
    ) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.status = status
        self.wait = wait
        """How many seconds the service asks to be left alone."""
        self.region = region
        """Where the bucket is, if it is elsewhere and the service said so."""

    @property
    def row(self) -> FailureRow:
        return TABLE[self.kind]


def to_error(failure: RequestFailure, what: str) -> errors.VolfsError:
    """The error of volfs for a failure. ``what`` names the bucket, the verb and the key."""
    said = f" ({failure.detail})" if failure.detail else ""
    return failure.row.error(f"{what}: {failure.row.text}{said}")
