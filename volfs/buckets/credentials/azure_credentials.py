"""Credentials for Azure: the account's key, a shared access signature, or a token of an
identity."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from volfs.buckets.credentials.credentials import Renewed, Token
from volfs.buckets.credentials.metadata import QUICK, ask_json, read_token
from volfs.buckets.credentials.signing import NoSigner, Signer, TokenSigner
from volfs.buckets.http_values import WireRequest, encode_query
from volfs.buckets.options import BucketOptions
from volfs.errors import InvalidError, StoreDeniedError, StoreUnavailableError

VERSION = "2021-12-02"
RESOURCE = "https://storage.azure.com"
AUTHORITY = "https://login.microsoftonline.com"
INSTANCE = "http://169.254.169.254"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
BLOB_ENDPOINT = "AZURE_STORAGE_BLOB_ENDPOINT"
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_KEYS = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCESS_KEY")
_SIGNED = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


class SharedKeySigner(NoSigner):
    """Signs requests with the key of the account."""

    def __init__(self, account: str, key: str) -> None:
        self._account = account
        try:
            self._key = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidError("AZURE_STORAGE_KEY: it is no base64, so it is no key") from None

    @property
    def signs(self) -> bool:
        return True

    def sign(self, request: WireRequest, host: str) -> WireRequest:
        headers = dated(request.headers)
        length = {"content-length": str(len(request.body))} if len(request.body) else {}
        lines = [(headers | length).get(name, "") for name in _SIGNED]
        own = sorted((name, value) for name, value in headers.items() if name.startswith("x-ms-"))
        lines += [f"{name}:{value}" for name, value in own]
        lines.append(f"/{self._account}{request.path}")
        lines += [f"{name}:{value}" for name, value in sorted(request.query.items())]
        text = "\n".join((request.method, *lines))
        signature = base64.b64encode(hmac.digest(self._key, text.encode(), hashlib.sha256)).decode()
        headers["authorization"] = f"SharedKey {self._account}:{signature}"
        return request._replace(headers=headers)


class SasSigner(NoSigner):
    """Adds a signature that somebody made, which is valid for a time and for some rights."""

    def __init__(self, token: str) -> None:
        self._pairs = dict(parse_qsl(token.lstrip("?")))
        if "sig" not in self._pairs:
            raise InvalidError("AZURE_STORAGE_SAS_TOKEN: it has no sig=, so it is no signature")

    @property
    def signs(self) -> bool:
        return True

    def sign(self, request: WireRequest, host: str) -> WireRequest:
        query = request.query | self._pairs
        return request._replace(query=query, headers=dated(request.headers))

    def vouch(self, url: str) -> str:
        return f"{url}?{encode_query(self._pairs)}"


class AzureTokenSigner(TokenSigner):
    """Adds the token of an identity."""

    def sign(self, request: WireRequest, host: str) -> WireRequest:
        return super().sign(request._replace(headers=dated(request.headers)), host)


class PublicSigner(NoSigner):
    """Adds no credentials, for containers that everybody may read."""

    def sign(self, request: WireRequest, host: str) -> WireRequest:
        return request._replace(headers=dated(request.headers))


def dated(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request, with those that every request to Azure needs."""
    date = format_datetime(datetime.now(UTC), usegmt=True)
    return {**headers, "x-ms-date": date, "x-ms-version": VERSION}


def find_azure_signer(account: str, options: BucketOptions) -> Signer:
    """The signer that the options lead to. InvalidError for credentials that cannot be valid."""
    if options.unsigned:
        return PublicSigner()
    values = options.environ if options.secret is None else options.secret
    values = {**values, **read_connection_string(values.get("AZURE_STORAGE_CONNECTION_STRING"))}
    key = first(
        values, "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCESS_KEY"
    )
    if key:
        return SharedKeySigner(account, key)
    token = first(values, "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY")
    if token:
        return SasSigner(token)
    signer = _find_identity(values, options.environ)
    if signer is None and options.secret is None:
        signer = _find_machine(values)
    return signer or PublicSigner()


def read_connection_string(text: str | None) -> dict[str, str]:
    """What a connection string has, by the names of environment variables."""
    parts = dict(part.split("=", 1) for part in (text or "").split(";") if "=" in part)
    names = {
        "AccountKey": "AZURE_STORAGE_ACCOUNT_KEY",
        "SharedAccessSignature": "AZURE_STORAGE_SAS_TOKEN",
        "BlobEndpoint": BLOB_ENDPOINT,
    }
    return {name: parts[part] for part, name in names.items() if parts.get(part)}


def first(values: Mapping[str, str], *names: str) -> str | None:
    return next((values[name] for name in names if values.get(name)), None)


def _find_identity(values: Mapping[str, str], environ: Mapping[str, str]) -> Signer | None:
    """The signer of a service principal, by its secret or by the token of a workload."""
    tenant, client = values.get("AZURE_TENANT_ID"), values.get("AZURE_CLIENT_ID")
    secret, path = values.get("AZURE_CLIENT_SECRET"), values.get("AZURE_FEDERATED_TOKEN_FILE")
    if not (tenant and client and (secret or path)):
        return None
    host = (values.get("AZURE_AUTHORITY_HOST") or AUTHORITY).rstrip("/")

    def get() -> Token:
        proof = {"client_secret": secret} if secret else _read_assertion(path or "")
        form = {"client_id": client, "grant_type": "client_credentials"} | proof
        body = urlencode(form | {"scope": f"{RESOURCE}/.default"}).encode()
        url = f"{host}/{tenant}/oauth2/v2.0/token"
        return read_token(ask_json("POST", url, _FORM, body, environ=environ))

    return AzureTokenSigner(Renewed(get))


def _read_assertion(path: str) -> dict[str, str]:
    try:
        token = Path(path).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise StoreDeniedError(f"AZURE_FEDERATED_TOKEN_FILE={path}: cannot be read") from None
    return {"client_assertion": token, "client_assertion_type": ASSERTION}


def _find_machine(values: Mapping[str, str]) -> Signer | None:
    """The signer of the machine's identity, if this is a machine of Azure's and has one."""
    query = {"api-version": "2019-08-01", "resource": RESOURCE}
    if values.get("AZURE_CLIENT_ID"):
        query["client_id"] = values["AZURE_CLIENT_ID"]
    url = f"{INSTANCE}/metadata/identity/oauth2/token?{urlencode(query)}"
    token = Renewed(lambda: read_token(ask_json("GET", url, {"metadata": "true"}, timeout=QUICK)))
    try:
        token()
    except (StoreUnavailableError, StoreDeniedError):
        return None
    return AzureTokenSigner(token)
