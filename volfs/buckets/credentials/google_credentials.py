"""Credentials for Google: a pair of HMAC keys, what google-auth can read from a file, or the
machine's account."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

from google.auth import aws, external_account_authorized_user, identity_pool, pluggable
from google.auth.compute_engine import Credentials as MachineCredentials
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError
from google.auth.impersonated_credentials import Credentials as ImpersonatedCredentials
from google.oauth2.credentials import Credentials as UserCredentials
from google.oauth2.service_account import Credentials as AccountCredentials

from volfs.buckets.credentials.aws_credentials import find_keys
from volfs.buckets.credentials.credentials import Keys, Renewed, Token
from volfs.buckets.credentials.google_request import LimitedRequest
from volfs.buckets.credentials.hushing import hushed
from volfs.buckets.credentials.signing import GoogleKeySigner, NoSigner, Signer, TokenSigner
from volfs.buckets.options import BucketOptions
from volfs.errors import InvalidError, StoreDeniedError, StoreUnavailableError

SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]
TOKEN_URI = "https://oauth2.googleapis.com/token"
_LOGIN = Path(".config/gcloud/application_default_credentials.json")
_AWS = "urn:ietf:params:aws:token-type:aws4_request"

Info = dict[str, Any]


def find_google_signer(options: BucketOptions) -> Signer:
    """The signer that the options lead to. InvalidError for credentials that cannot be valid."""
    if options.unsigned:
        return NoSigner()
    values = options.environ if options.secret is None else options.secret
    keys = find_hmac_keys(values)
    if keys is not None:
        return GoogleKeySigner(keys)
    text = values.get("GOOGLE_APPLICATION_CREDENTIALS_JSON")
    if text:
        return _sign_as(read_credentials(text, "GOOGLE_APPLICATION_CREDENTIALS_JSON", options))
    if options.secret is not None:
        return NoSigner()
    return _find_around(options)


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


def _find_around(options: BucketOptions) -> Signer:
    """The signer of a file that the environment names, of the user's login, or of the machine;
    else no signer."""
    environ = options.environ
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    path = Path(named) if named else Path(environ.get("HOME") or "/nonexistent") / _LOGIN
    try:
        return _sign_as(read_credentials(path.read_text("utf-8"), str(path), options))
    except (OSError, UnicodeDecodeError):
        if named:
            raise InvalidError(
                f"GOOGLE_APPLICATION_CREDENTIALS={named}: the file cannot be read"
            ) from None
    token = Renewed(ask(MachineCredentials(scopes=SCOPES), options))  # type: ignore[no-untyped-call]
    try:
        token()
    except (StoreUnavailableError, StoreDeniedError):
        return NoSigner()
    return TokenSigner(token)


def _sign_as(source: Callable[[], Token]) -> Signer:
    return TokenSigner(Renewed(source))


def read_credentials(text: str, where: str, options: BucketOptions) -> Callable[[], Token]:
    """A function that asks for a token as the file says. InvalidError."""
    with hushed():
        try:
            info: Any = json.loads(text)
            make = _MAKERS.get(info["type"])
            found = None if make is None else make(info, options)
        except (ValueError, LookupError, TypeError, AttributeError, GoogleAuthError):
            # The cause is left out, because it may show a part of the text.
            raise InvalidError(f"{where}: these are no credentials of Google's in JSON") from None
    if found is None:
        raise InvalidError(f"{where}: its type is not known; use one of {', '.join(_MAKERS)}")
    return ask(found, options)


def ask(credentials: Credentials, options: BucketOptions) -> Callable[[], Token]:
    """A function that asks for a token. StoreDeniedError, StoreUnavailableError."""
    request = LimitedRequest(options.environ)

    def get() -> Token:
        with hushed():
            try:
                credentials.refresh(request)  # type: ignore[no-untyped-call]
            except (GoogleAuthError, ValueError, LookupError, TypeError, OSError) as error:
                # Its words may be those of the service, and have anything in them.
                raise StoreDeniedError(
                    f"credentials: Google gives no token ({type(error).__name__})"
                ) from None
        expiry = credentials.expiry
        expires = None if expiry is None else expiry.replace(tzinfo=UTC).timestamp()
        return Token(str(credentials.token), expires)

    return get


# --- kinds of credentials -----------------------------------------------------


def _make_account(info: Info, options: BucketOptions) -> Any:
    info = {"token_uri": TOKEN_URI} | info
    return AccountCredentials.from_service_account_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]


def _make_user(info: Info, options: BucketOptions) -> Any:
    return UserCredentials.from_authorized_user_info(info)  # type: ignore[no-untyped-call]


def _make_external(info: Info, options: BucketOptions) -> Any:
    """Credentials of an identity that another service vouches for."""
    if info["subject_token_type"] == _AWS:
        plain = {key: value for key, value in info.items() if key != "credential_source"}
        supplier = _AwsSupplier(options)
        return aws.Credentials.from_info(  # type: ignore[no-untyped-call]
            plain, scopes=SCOPES, aws_security_credentials_supplier=supplier
        )
    kind = pluggable if "executable" in info["credential_source"] else identity_pool
    return kind.Credentials.from_info(info, scopes=SCOPES)


def _make_external_user(info: Info, options: BucketOptions) -> Any:
    return external_account_authorized_user.Credentials.from_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]


def _make_impersonated(info: Info, options: BucketOptions) -> Any:
    return ImpersonatedCredentials.from_impersonated_service_account_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]


_MAKERS: dict[str, Callable[[Info, BucketOptions], Any]] = {
    "service_account": _make_account,
    "authorized_user": _make_user,
    "external_account": _make_external,
    "external_account_authorized_user": _make_external_user,
    "impersonated_service_account": _make_impersonated,
}


class _AwsSupplier(aws.AwsSecurityCredentialsSupplier):
    """AWS's keys for google-auth, from where this bucket's options say."""

    def __init__(self, options: BucketOptions) -> None:
        self._options = options
        self._region = options.find("AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1"

    def get_aws_security_credentials(self, context: Any, request: Any) -> Any:
        get = find_keys(self._options, self._region)
        if get is None:
            raise StoreDeniedError("credentials: Google asks for keys of AWS's, and there are none")
        keys = get(False)
        return aws.AwsSecurityCredentials(keys.access_key, keys.secret_key, keys.token or None)

    def get_aws_region(self, context: Any, request: Any) -> str:
        return self._region
