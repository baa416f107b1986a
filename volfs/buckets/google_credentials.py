"""Credentials for Google: a pair of HMAC keys, a service account, a user's login, or the
machine."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from volfs.buckets.credentials import Keys, Renewed, Token
from volfs.buckets.metadata import QUICK, ask_json
from volfs.buckets.options import BucketOptions
from volfs.buckets.signing import GOOGLE, KeySigner, NoSigner, Signer, TokenSigner
from volfs.errors import InvalidError, StoreDeniedError, StoreUnavailableError

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
TOKEN_URI = "https://oauth2.googleapis.com/token"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFE = 3600
METADATA_HOST = "metadata.google.internal"
_TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
_LOGIN = Path(".config/gcloud/application_default_credentials.json")
_FORM = {"content-type": "application/x-www-form-urlencoded"}

GetToken = Callable[[bool], Token]


def find_google_signer(options: BucketOptions) -> Signer:
    """The signer that the options lead to. InvalidError for credentials that cannot be valid."""
    if options.unsigned:
        return NoSigner()
    values = options.environ if options.secret is None else options.secret
    keys = find_hmac_keys(values)
    if keys is not None:
        return KeySigner(lambda fresh: keys, GOOGLE, "auto")
    text = values.get("GOOGLE_APPLICATION_CREDENTIALS_JSON")
    if text:
        return TokenSigner(read_account(text, "GOOGLE_APPLICATION_CREDENTIALS_JSON"))
    if options.secret is not None:
        return NoSigner()
    return _find_around(options.environ)


def find_hmac_keys(values: Mapping[str, str]) -> Keys | None:
    """The pair of HMAC keys, or None. Programs that speak S3 to Google have it by AWS's names."""
    amazon = values.get("AWS_ACCESS_KEY_ID") or ""
    if amazon.startswith("GOOG") and values.get("AWS_SECRET_ACCESS_KEY"):
        return Keys(amazon, values["AWS_SECRET_ACCESS_KEY"])
    access = values.get("GOOGLE_ACCESS_KEY_ID")
    secret = values.get("GOOGLE_ACCESS_KEY_SECRET") or values.get("GOOGLE_SECRET_ACCESS_KEY")
    if access and secret:
        return Keys(access, secret)
    if access or secret:
        raise InvalidError(
            "only one of GOOGLE_ACCESS_KEY_ID and GOOGLE_ACCESS_KEY_SECRET is set; give both"
        )
    return None


def _find_around(environ: Mapping[str, str]) -> Signer:
    """The signer of a file that the environment names, of the user's login, or of the machine;
    else no signer."""
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    path = Path(named) if named else Path(environ.get("HOME") or "/nonexistent") / _LOGIN
    try:
        return TokenSigner(read_account(path.read_text("utf-8"), str(path)))
    except (OSError, UnicodeDecodeError):
        if named:
            raise InvalidError(
                f"GOOGLE_APPLICATION_CREDENTIALS={named}: the file cannot be read"
            ) from None
    host = environ.get("GCE_METADATA_HOST") or METADATA_HOST
    token = Renewed(lambda: ask_machine(host))
    try:
        token()
    except (StoreUnavailableError, StoreDeniedError):
        return NoSigner()
    return TokenSigner(token)


def read_account(text: str, where: str) -> GetToken:
    """A function that returns tokens for the account in a file of Google's. InvalidError."""
    try:
        account: Any = json.loads(text)
        kind = account["type"]
        if kind == "service_account":
            email, uri = account["client_email"], account.get("token_uri") or TOKEN_URI
            key = _load_key(account["private_key"], where)
            return Renewed(lambda: ask_for_account(email, key, uri))
        if kind == "authorized_user":
            form = {name: account[name] for name in ("client_id", "client_secret", "refresh_token")}
            return Renewed(lambda: _ask_token(TOKEN_URI, form | {"grant_type": "refresh_token"}))
    except (ValueError, KeyError, TypeError, AttributeError):
        # The cause is left out, because it may show a part of the text.
        raise InvalidError(f"{where}: this is no JSON key of a service account") from None
    raise InvalidError(f"{where}: type {kind!r} is not known; use a key of a service account")


def _load_key(pem: str, where: str) -> RSAPrivateKey:
    try:
        return cast(RSAPrivateKey, serialization.load_pem_private_key(pem.encode(), None))
    except (ValueError, TypeError):
        raise InvalidError(f"{where}: private_key is no key that can be read") from None


def ask_for_account(email: str, key: RSAPrivateKey, uri: str) -> Token:
    """A token for a service account. StoreDeniedError, StoreUnavailableError."""
    now = int(time.time())
    claims = {"iss": email, "scope": SCOPE, "aud": uri, "iat": now, "exp": now + LIFE}
    body = b".".join(_encode(part) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    signature = key.sign(body, padding.PKCS1v15(), hashes.SHA256())
    assertion = body + b"." + _encode_bytes(signature)
    return _ask_token(uri, {"grant_type": GRANT, "assertion": assertion.decode()})


def _ask_token(uri: str, form: Mapping[str, str]) -> Token:
    return read_token(ask_json("POST", uri, _FORM, urlencode(form).encode()))


def ask_machine(host: str) -> Token:
    """The token of this machine, if it is one of Google's."""
    url = f"http://{host}{_TOKEN_PATH}"
    return read_token(ask_json("GET", url, {"metadata-flavor": "Google"}, timeout=QUICK))


def read_token(told: Mapping[str, Any]) -> Token:
    """A token from an answer of OAuth. StoreDeniedError."""
    try:
        return Token(str(told["access_token"]), time.time() + float(told["expires_in"]))
    except (KeyError, ValueError, TypeError):
        raise StoreDeniedError("credentials: the answer has no access_token") from None


def _encode(part: Mapping[str, object]) -> bytes:
    return _encode_bytes(json.dumps(part, separators=(",", ":")).encode())


def _encode_bytes(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
