"""The address of a bucket, or of a folder in one: a URL without any secret.

``s3://BUCKET/PREFIX?endpoint=URL&region=NAME&style=path|host``, ``gs://BUCKET/PREFIX?endpoint=URL``
and ``az://ACCOUNT/CONTAINER/PREFIX?endpoint=URL``. Percent-escapes in the prefix are undone. A
prefix is a folder: it ends with ``/``, written or not.

Messages show what was wrong and never the whole text, which may have a secret in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from volfs.errors import InvalidError

S3, GS, AZ = "s3", "gs", "az"
PATH, HOST = "path", "host"
SCHEMES = (S3, GS, AZ)
OPTIONS: Mapping[str, tuple[str, ...]] = {
    S3: ("endpoint", "region", "style"),
    GS: ("endpoint",),
    AZ: ("endpoint",),
}
KEY_MAX = 1024
"""The longest key in bytes, by the rules of all services."""

_KEYS = re.compile(r"[^/]*:.*@", re.DOTALL)
"""A user and a key, which may have slashes in it, as some other programs take them."""
_USER = re.compile(r"^([A-Za-z0-9+.-]*://)?.*@", re.DOTALL)
_OPTIONS = re.compile(r"\?.*", re.DOTALL)
_HOST = re.compile(r"[^\s/?#@\\%<>\"{}|^`,;!$&'()*+=\x00-\x1f\x7f]+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_NAMES: Mapping[str, tuple[re.Pattern[str], str]] = {
    S3: (re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{1,254}"), "letters, digits, '-', '.' and '_'"),
    GS: (re.compile(r"[a-z0-9][a-z0-9._-]{1,221}"), "small letters, digits, '-', '.' and '_'"),
    AZ: (re.compile(r"\$?[a-z0-9][a-z0-9-]{1,62}"), "small letters, digits and '-'"),
}
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")


class BucketAddress(NamedTuple):
    """A bucket, and a folder in it. ``account`` is for ``az`` only."""

    scheme: str
    bucket: str
    prefix: str = ""
    """The beginning of every key. Empty, or with ``/`` at its end."""
    account: str = ""
    endpoint: str | None = None
    region: str | None = None
    style: str | None = None

    @property
    def name(self) -> str:
        """The bucket without its folder and options: ``s3://bucket``."""
        account = f"{self.account}/" if self.scheme == AZ else ""
        return f"{self.scheme}://{account}{self.bucket}"

    @property
    def text(self) -> str:
        """The address in the form that is handed on. ``parse_bucket_address`` accepts it."""
        options = [(key, getattr(self, key)) for key in OPTIONS[self.scheme] if getattr(self, key)]
        query = f"?{urlencode(options, safe=':/')}" if options else ""
        return f"{self.name}/{quote(self.prefix)}{query}"


def is_bucket_address(text: str) -> bool:
    """Whether a text begins as the address of a bucket does."""
    match = _SCHEME.match(text)
    return match is not None and match[1].lower() in SCHEMES


def parse_bucket_address(text: str) -> BucketAddress:
    """Take an address apart. InvalidError says what would be right instead."""
    match = _SCHEME.match(text)
    scheme = match[1].lower() if match else ""
    if match is None or scheme not in SCHEMES:
        known = f"{scheme}:// is not known" if scheme else "a bucket's address is a URL"
        raise InvalidError(f"{known}; use s3://BUCKET, gs://BUCKET or az://ACCOUNT/CONTAINER")
    body, _, query = match[2].partition("?")
    if _KEYS.match(body):
        raise _with_keys(scheme)
    where, _, prefix = body.partition("/")
    account = ""
    if scheme == AZ:
        account, (where, _, prefix) = where, prefix.partition("/")
    address = BucketAddress(
        scheme, where, unquote(prefix), account, **_parse_options(scheme, query)
    )
    return check_bucket_address(address)


def check_bucket_address(address: BucketAddress) -> BucketAddress:
    """The address with its prefix as a folder's, and its endpoint without a ``/`` at the end.
    InvalidError."""
    _check_names(address)
    prefix = address.prefix
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    if "\0" in prefix or len(prefix.encode("utf-8", "surrogateescape")) >= KEY_MAX:
        raise InvalidError(f"{address.name}: a prefix has no NUL and fewer than {KEY_MAX} bytes")
    endpoint = address.endpoint and check_endpoint(address.endpoint)
    if address.region is not None and not _REGION.fullmatch(address.region):
        raise InvalidError(f"{address.name}: region={address.region!r} is no name of a region")
    if address.style not in (None, PATH, HOST):
        raise InvalidError(f"{address.name}: style={address.style!r}; use {PATH} or {HOST}")
    return address._replace(prefix=prefix, endpoint=endpoint)


def _with_keys(scheme: str) -> InvalidError:
    return InvalidError(
        f"{scheme}://…@…: an address has no user and no key in it; give keys by the "
        "environment, a profile or a secret"
    )


def _check_names(address: BucketAddress) -> None:
    if "@" in address.bucket or "@" in address.account:
        raise _with_keys(address.scheme)
    if address.scheme == AZ and not _ACCOUNT.fullmatch(address.account):
        raise InvalidError(
            f"az://{address.account}: an account's name is 3 to 24 small letters and digits; "
            "use az://ACCOUNT/CONTAINER"
        )
    pattern, allowed = _NAMES[address.scheme]
    if not address.bucket:
        raise InvalidError(f"{address.name}: no bucket is named")
    if not pattern.fullmatch(address.bucket):
        raise InvalidError(f"{address.name}: a bucket's name has {allowed}, and 2 or more of them")


def _parse_options(scheme: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS[scheme]:
            known = ", ".join(OPTIONS[scheme])
            raise InvalidError(f"{scheme}://…?{key}=: not known; an address may have {known}")
        if key in options:
            raise InvalidError(f"{scheme}://…?{key}=: given twice")
        if not value:
            raise InvalidError(f"{scheme}://…?{key}=: has no value")
        options[key] = value
    return options


def check_endpoint(endpoint: str, name: str = "endpoint=") -> str:
    """An endpoint without a ``/`` at its end. ``name`` is what named it. InvalidError."""
    try:
        parts = urlsplit(endpoint)
        _ = parts.port
    except ValueError:
        raise InvalidError(f"{name}: not a URL; use https://HOST or https://HOST:PORT") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidError(f"{name}: an endpoint has no user and no password in it")
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or ""):
        shown = "" if "@" in endpoint else f"{endpoint!r}: "
        raise InvalidError(f"{name}: {shown}use https://HOST or http://HOST:PORT")
    if parts.query or parts.fragment:
        raise InvalidError(f"{name}: an endpoint has no '?' and no '#'")
    return endpoint.rstrip("/")


def hide_keys(text: str) -> str:
    """A text that should be an address, for a message: without a user and a key, and without
    options."""
    return _OPTIONS.sub("?…", _USER.sub(r"\1…@", text))
