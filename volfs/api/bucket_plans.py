"""Plans for buckets: from the arguments of a CloudBucketMount to what a daemon opens a bucket by.

PURE: a secret's values and the environment are arguments. A fact is taken from the arguments of
the CloudBucketMount, else from the secret, else from the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from volfs.buckets.address import AZ, GS, PATH, S3, BucketAddress, check_bucket_address, hide_keys
from volfs.daemon.mount_options import BucketPlan
from volfs.errors import InvalidError

BucketType = Literal["s3", "r2", "gcp", "azure"]
GOOGLE = "https://storage.googleapis.com"
_HOSTS: Mapping[BucketType, re.Pattern[str]] = {
    "r2": re.compile(r".*r2\.cloudflarestorage\.com"),
    "gcp": re.compile(r".*storage\.googleapis\.com"),
    "azure": re.compile(r"[^.]+(\.[^.]+)?\.blob\.(core\.[^.]+(\.[^.]+)+|storage\.azure\.net)"),
}
"""The services that can be told by the name of their host."""
_SCHEMES: Mapping[BucketType, str] = {"s3": S3, "r2": S3, "gcp": GS, "azure": AZ}

_S3_ENDPOINT = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_GOOGLE_KEYS = ("GOOGLE_ACCESS_KEY_ID", "GOOGLE_ACCESS_KEY_SECRET")
_GOOGLE_ACCOUNT = "GOOGLE_APPLICATION_CREDENTIALS_JSON"
_AZURE_ACCOUNT = ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME")
_OF_SERVICES: Mapping[BucketType, tuple[str, ...]] = {
    "s3": (*_S3_KEYS, "AWS_ROLE_ARN", *_S3_ENDPOINT),
    "gcp": (*_GOOGLE_KEYS, "GOOGLE_SECRET_ACCESS_KEY", _GOOGLE_ACCOUNT),
    "azure": (
        *_AZURE_ACCOUNT,
        *("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"),
        *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCESS_KEY"),
        "AZURE_CLIENT_ID",
    ),
}
"""The variables by which a secret is known to be for a service."""
_TAKEN = re.compile(
    r"(AWS|GOOGLE|AZURE)_.*|HOME|GCE_METADATA_HOST|STORAGE_EMULATOR_HOST"
    r"|(?i:(https?|all|no)_proxy)"
)
_TOKEN = "MODAL_IDENTITY_TOKEN"
_ACCOUNT_NAME = re.compile(r"(?:^|;)\s*AccountName=([^;]+)", re.IGNORECASE)


class UsualEndpoint(str):
    """The public endpoint of a service. It says which service is meant, and a secret may have
    another endpoint of that service."""

    __slots__ = ()


class BucketRequest(NamedTuple):
    """The arguments of a CloudBucketMount that say how its bucket is opened."""

    name: str
    endpoint: str | None = None
    prefix: str = ""
    role_arn: str | None = None
    requester_pays: bool = False
    path_style: bool = False

    @property
    def asked_endpoint(self) -> str | None:
        """The endpoint that the program gave; None if only the service is known."""
        return None if isinstance(self.endpoint, UsualEndpoint) else self.endpoint


def make_bucket_plan(
    request: BucketRequest, secret: Mapping[str, str] | None, environ: Mapping[str, str]
) -> BucketPlan:
    """Make the plan for a bucket. InvalidError for a wrong name, prefix or endpoint."""
    _check_name(request.name)
    values = None if secret is None else _pick(secret)
    address = check_bucket_address(_find_address(request, values or {}, environ))
    if address.scheme == S3 and values is not None:
        values = _with_keys_for_s3(values)
    return BucketPlan(
        address.text,
        secret=values,
        environ=_pick(environ),
        role_arn=request.role_arn,
        requester_pays=request.requester_pays,
    )


def tell_type(endpoint: str | None) -> BucketType | None:
    """The service that an endpoint's host belongs to; None for other hosts."""
    try:
        host = urlsplit(endpoint or "").hostname or ""
    except ValueError:
        return None
    return next((kind for kind, pattern in _HOSTS.items() if pattern.fullmatch(host)), None)


def _check_name(name: str) -> None:
    if "/" in name:
        raise InvalidError(
            f"CloudBucketMount: bucket_name={hide_keys(name)!r}: give the bucket's name alone; "
            "key_prefix= has the folder, and bucket_endpoint_url= says where the service is"
        )


def _find_address(
    request: BucketRequest, secret: Mapping[str, str], environ: Mapping[str, str]
) -> BucketAddress:
    """Find the address of a bucket, which is not checked yet."""
    scheme = _find_scheme(request, secret)
    endpoint = request.asked_endpoint
    if scheme == AZ:
        account = _find_account(request, secret, environ)
        return BucketAddress(AZ, request.name, request.prefix, account, endpoint)
    if scheme == GS and endpoint is None and not _has_emulator(secret, environ):
        endpoint = first(secret, _S3_ENDPOINT)
        if endpoint is not None and not secret.get(_GOOGLE_ACCOUNT):
            scheme = S3  # HMAC keys are for services that speak as S3 does
    style = PATH if request.path_style and scheme == S3 else None
    return BucketAddress(scheme, request.name, request.prefix, endpoint=endpoint, style=style)


def _find_scheme(request: BucketRequest, secret: Mapping[str, str]) -> str:
    """The scheme of the service that the endpoint's host belongs to; else of the only service
    that the secret has credentials for; else S3."""
    told = tell_type(request.endpoint)
    if told is not None:
        return _SCHEMES[told]
    had = [kind for kind, names in _OF_SERVICES.items() if first(secret, names)]
    return _SCHEMES[had[0]] if len(had) == 1 and request.role_arn is None else S3


def _has_emulator(*sources: Mapping[str, str]) -> bool:
    return any(values.get("STORAGE_EMULATOR_HOST") for values in sources)


def _find_account(
    request: BucketRequest, secret: Mapping[str, str], environ: Mapping[str, str]
) -> str:
    """Find the account: in the host's name, the secret, an emulator's path, or the environment."""
    parts = urlsplit(request.endpoint or "")
    if tell_type(request.endpoint) == "azure":
        return (parts.hostname or "").partition(".")[0]
    in_path = parts.path.strip("/")
    found = _read_account(secret) or in_path or _read_account(environ)
    if not found:
        raise InvalidError(
            f"bucket {request.name}: the secret is for Azure, and no account is named; set "
            "AZURE_STORAGE_ACCOUNT in it, or give "
            "bucket_endpoint_url=https://ACCOUNT.blob.core.windows.net"
        )
    return found


def _read_account(values: Mapping[str, str]) -> str | None:
    told = _ACCOUNT_NAME.search(values.get("AZURE_STORAGE_CONNECTION_STRING", ""))
    return first(values, _AZURE_ACCOUNT) or (told[1] if told else None)


def _with_keys_for_s3(secret: dict[str, str]) -> dict[str, str]:
    """Add Google's HMAC keys by AWS's names, if the secret has no keys of AWS."""
    pair = [secret.get(name) for name in _GOOGLE_KEYS]
    if first(secret, _S3_KEYS) or not all(pair):
        return secret
    return {**secret, **{name: key for name, key in zip(_S3_KEYS, pair, strict=True) if key}}


def _pick(values: Mapping[str, str]) -> dict[str, str]:
    """Pick the variables that a bucket is opened by. The daemon gets no others."""
    return {
        name: value for name, value in values.items() if name == _TOKEN or _TAKEN.fullmatch(name)
    }


def first(values: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((values[name] for name in names if values.get(name)), None)
