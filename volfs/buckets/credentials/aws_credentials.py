"""The keys that sign requests to S3: those of a secret, or the first that AWS's tools would find.

botocore finds them. This module says where it may look, and translates what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as trouble

from volfs.buckets.credentials.aws_session import (
    AwsSession,
    list_secret_sources,
    list_sources,
    make_web_identity,
)
from volfs.buckets.credentials.credentials import Keys, Renewed
from volfs.buckets.credentials.hushing import hushed
from volfs.buckets.options import BucketOptions
from volfs.errors import (
    InvalidError,
    StoreDeniedError,
    StoreUnavailableError,
    VolfsError,
)

GetKeys = Callable[[bool], Keys]
_TOKEN_FILE = "AWS_WEB_IDENTITY_TOKEN_FILE"
_SIGN_ON = (
    trouble.SSOError,
    trouble.SSOTokenLoadError,
    trouble.TokenRetrievalError,
    trouble.UnauthorizedSSOTokenError,
)
_SETTINGS = (
    trouble.InvalidConfigError,
    trouble.InfiniteLoopConfigError,
    trouble.PartialCredentialsError,
    trouble.UnknownCredentialError,
    trouble.InvalidIMDSEndpointError,
    trouble.MissingDependencyException,
)
_UNREACHED = (trouble.ConnectionError, trouble.HTTPClientError)
_UNREADABLE = (LookupError, ValueError, TypeError, AttributeError, RuntimeError)


def find_keys(options: BucketOptions, region: str) -> GetKeys | None:
    """A function that returns valid keys whenever it is called. None if there are no keys.

    InvalidError if something names credentials and has none: half a pair, or a profile without
    keys.
    """
    found = _load(options, region)
    if found is None:
        if options.profile is not None:
            raise InvalidError(f"profile {options.profile}: it has no keys, and no source of keys")
        return None
    waiting = [found]

    def ask() -> Keys:
        credentials = waiting.pop() if waiting else _load(options, region)
        if credentials is None:
            raise StoreDeniedError("credentials: they are no longer where they were found")
        return _freeze(credentials, options)

    return Renewed(ask)


def find_profile_setting(options: BucketOptions, name: str) -> str | None:
    """A setting of the profile that the credentials come from. None with a secret."""
    if options.secret is not None:
        return None
    with translated(options):
        session = AwsSession(options, "auto")
        if name == "endpoint_url":
            return session.find_service_in_profile("s3")
        found: str | None = session.get_scoped_config().get(name)
        return found


def _load(options: BucketOptions, region: str) -> Any:
    """Credentials of botocore's, of the first source that has any. They are looked for anew each
    time, so that a file or a program can have new ones."""
    with translated(options):
        for source in _list(options, region):
            found = source.load()
            if found is not None:
                return found
    return None


def _list(options: BucketOptions, region: str) -> list[Any]:
    session = AwsSession(options, region)
    if options.role_arn:
        return [_make_role(session, options, options.role_arn)]
    if options.secret is not None:
        _check_pair(options.secret, "the secret")
        return list_secret_sources(session, options.secret)
    if options.profile is None:
        _check_pair(options.environ, "the environment")
    return list_sources(session)


def _check_pair(values: Mapping[str, str], where: str) -> None:
    if bool(values.get("AWS_ACCESS_KEY_ID")) != bool(values.get("AWS_SECRET_ACCESS_KEY")):
        raise InvalidError(
            f"{where} has only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; give both"
        )


def _make_role(session: AwsSession, options: BucketOptions, role: str) -> Any:
    values = options.environ if options.secret is None else options.secret
    name = values.get("AWS_ROLE_SESSION_NAME")
    path = values.get(_TOKEN_FILE) or options.environ.get(_TOKEN_FILE)
    if path:
        return make_web_identity(session, role, name, path)
    token = values.get("MODAL_IDENTITY_TOKEN") or options.environ.get("MODAL_IDENTITY_TOKEN")
    if not token:
        raise InvalidError(
            f"role {role}: there is no token to take it with; set AWS_WEB_IDENTITY_TOKEN_FILE"
        )
    return make_web_identity(session, role, name, "MODAL_IDENTITY_TOKEN", token)


def _freeze(credentials: Any, options: BucketOptions) -> Keys:
    """The keys as they are now."""
    with translated(options):
        frozen = credentials.get_frozen_credentials()
        # AWS's own command line reads this attribute, too: botocore has no other name for it.
        expiry: datetime | None = getattr(credentials, "_expiry_time", None)
        expires = None if expiry is None else expiry.timestamp()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token or "", expires)


# --- errors -------------------------------------------------------------------


@contextmanager
def translated(options: BucketOptions) -> Iterator[None]:
    """Raise errors of botocore's as errors of volfs, without anything that a service or a program
    has said."""
    with hushed():
        try:
            yield
        except VolfsError:
            raise
        except trouble.ProfileNotFound as error:
            raise _say_missing(error, options) from None
        except (trouble.BotoCoreError, trouble.ClientError, OSError, *_UNREADABLE) as error:
            raise _to_error(error, options) from None


def _say_missing(error: trouble.ProfileNotFound, options: BucketOptions) -> InvalidError:
    files = AwsSession(options, "auto")
    config = files.get_config_variable("config_file")
    shared = files.get_config_variable("credentials_file")
    return InvalidError(f"profile {error.kwargs['profile']}: neither {config} nor {shared} has it")


def _to_error(error: Exception, options: BucketOptions) -> VolfsError:
    name = options.profile or options.environ.get("AWS_PROFILE") or "default"
    if isinstance(error, (trouble.ConfigParseError, UnicodeDecodeError)):
        path = getattr(error, "kwargs", {}).get("path", f"profile {name}")
        return InvalidError(f"{path}: this is no file of sections and settings")
    if isinstance(error, _SIGN_ON):
        return StoreDeniedError(
            f"profile {name}: nobody is signed on, or no longer; run "
            f"'aws sso login --profile {name}'"
        )
    if isinstance(error, _SETTINGS):
        return InvalidError(f"profile {name}: {error}")
    return _to_refusal(error)


def _to_refusal(error: Exception) -> VolfsError:
    if isinstance(error, trouble.ClientError):
        code = error.response.get("Error", {}).get("Code", "no reason")
        return StoreDeniedError(f"credentials: {error.operation_name} was refused: {code}")
    if isinstance(error, _UNREACHED):
        host = urlsplit(str(error.kwargs.get("endpoint_url") or "")).netloc or "their service"
        return StoreUnavailableError(f"credentials: no answer ({host})")
    if isinstance(error, OSError):
        return StoreDeniedError(f"{error.filename}: cannot be read: {error.strerror}")
    return StoreDeniedError(f"credentials: the answer has no valid keys ({type(error).__name__})")
