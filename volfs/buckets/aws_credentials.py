"""The keys that sign requests to S3: those of a secret, or the first that AWS's tools would find.

The order is: the secret; the role of a web identity, if one is asked for; the environment; a
profile; the roles of the container and of the machine. A profile that was named comes before the
environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from volfs.buckets.credentials import Keys, Renewed
from volfs.buckets.metadata import QUICK, ask, ask_json
from volfs.buckets.options import BucketOptions
from volfs.buckets.profiles import (
    Settings,
    load_profile,
    read_keys,
    run_credential_process,
)
from volfs.buckets.xml_answers import get_text, parse, parse_error
from volfs.errors import InvalidError, StoreDeniedError, StoreUnavailableError

GetKeys = Callable[[bool], Keys]
SESSION = "volfs"
INSTANCE = "http://169.254.169.254"
CONTAINER = "http://169.254.170.2"
TOKEN_SECONDS = 21600
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23")


def find_keys(options: BucketOptions, region: str) -> GetKeys | None:
    """A function that returns valid keys whenever it is called. None if there are no keys.

    InvalidError if something names credentials and has none: half a pair, or a profile without
    keys.
    """
    if options.role_arn:
        return _assume(options.secret or options.environ, options, options.role_arn, region)
    if options.secret is not None:
        return _find_in(options.secret, "the secret", options, region)
    if options.profile is None:
        found = _find_in(options.environ, "the environment", options, region)
        if found is not None:
            return found
    settings = load_profile(options.environ, options.profile)
    if settings is not None:
        found = _find_in_profile(settings, options, region)
        if found is not None:
            return found
    if options.profile is not None:
        raise InvalidError(f"profile {options.profile}: it has no keys, and no credential_process")
    return _find_on_machine(options.environ)


def find_profile_setting(options: BucketOptions, name: str) -> str | None:
    """A setting of the profile that the credentials come from. None with a secret."""
    if options.secret is not None:
        return None
    return (load_profile(options.environ, options.profile) or {}).get(name)


def _find_in(
    values: Mapping[str, str], where: str, options: BucketOptions, region: str
) -> GetKeys | None:
    access, secret = values.get("AWS_ACCESS_KEY_ID"), values.get("AWS_SECRET_ACCESS_KEY")
    if access and secret:
        return _always(Keys(access, secret, values.get("AWS_SESSION_TOKEN") or ""))
    if access or secret:
        raise InvalidError(
            f"{where} has only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; give both"
        )
    role = values.get("AWS_ROLE_ARN")
    if role and values.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return _assume(values, options, role, region)
    return None


def _find_in_profile(settings: Settings, options: BucketOptions, region: str) -> GetKeys | None:
    access, secret = settings.get("aws_access_key_id"), settings.get("aws_secret_access_key")
    if access and secret:
        return _always(Keys(access, secret, settings.get("aws_session_token", "")))
    command = settings.get("credential_process")
    if command:
        return Renewed(lambda: run_credential_process(command))
    role, path = settings.get("role_arn"), settings.get("web_identity_token_file")
    if role and path:
        session = settings.get("role_session_name", SESSION)
        return _assume_by_file(Path(path), role, session, find_sts(options, region))
    for name in ("sso_session", "sso_start_url", "source_profile", "credential_source"):
        if name in settings:
            raise InvalidError(
                f"the profile has {name}, which volfs does not know; let a credential_process "
                "give the keys: 'aws configure export-credentials --format process'"
            )
    return None


# --- web identity -------------------------------------------------------------


def _assume(values: Mapping[str, str], options: BucketOptions, role: str, region: str) -> GetKeys:
    session = values.get("AWS_ROLE_SESSION_NAME") or SESSION
    path = values.get("AWS_WEB_IDENTITY_TOKEN_FILE") or options.environ.get(
        "AWS_WEB_IDENTITY_TOKEN_FILE"
    )
    sts = find_sts(options, region)
    if path:
        return _assume_by_file(Path(path), role, session, sts)
    token = values.get("MODAL_IDENTITY_TOKEN") or options.environ.get("MODAL_IDENTITY_TOKEN")
    if not token:
        raise InvalidError(
            f"role {role}: there is no token to take it with; set AWS_WEB_IDENTITY_TOKEN_FILE"
        )
    return Renewed(lambda: assume_role(sts, role, session, token))


def _assume_by_file(path: Path, role: str, session: str, sts: str) -> GetKeys:
    def get() -> Keys:
        try:
            token = path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StoreDeniedError(f"{path}: the token cannot be read: {error}") from None
        return assume_role(sts, role, session, token)

    return Renewed(get)


def find_sts(options: BucketOptions, region: str) -> str:
    found = options.find("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL")
    if found:
        return found.rstrip("/")
    return (
        "https://sts.amazonaws.com" if region == "auto" else f"https://sts.{region}.amazonaws.com"
    )


def assume_role(sts: str, role: str, session: str, token: str) -> Keys:
    """Keys for a role, for an hour. StoreDeniedError, StoreUnavailableError."""
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": session,
        "WebIdentityToken": token,
    }
    kind = {"content-type": "application/x-www-form-urlencoded", "accept": "application/xml"}
    reply = ask("POST", f"{sts}/", kind, urlencode(form).encode())
    if reply.status != 200:
        code = parse_error(reply.body).code or f"HTTP {reply.status}"
        raise StoreDeniedError(f"role {role}: {urlsplit(sts).netloc} refused: {code}")
    found = parse(reply.body).find(".//Credentials")
    if found is None:
        raise StoreDeniedError(f"role {role}: the answer has no credentials")
    expires = datetime.fromisoformat(get_text(found, "Expiration")).timestamp()
    return Keys(
        get_text(found, "AccessKeyId"),
        get_text(found, "SecretAccessKey"),
        get_text(found, "SessionToken"),
        expires,
    )


# --- what the machine has -----------------------------------------------------


def _find_on_machine(environ: Mapping[str, str]) -> GetKeys | None:
    relative = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    full = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if relative or full:
        return Renewed(lambda: _ask_container(environ, relative, full or ""))
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    root = (environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or INSTANCE).rstrip("/")
    keys = Renewed(lambda: ask_instance(root))
    try:
        keys()
    except (StoreUnavailableError, StoreDeniedError):
        return None
    return keys


def _ask_container(environ: Mapping[str, str], relative: str | None, full: str) -> Keys:
    url = f"{CONTAINER}{relative}" if relative else full
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise InvalidError(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI: keys go over https://, or stay on this machine"
        )
    path = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    try:
        token = Path(path).read_text().strip() if path else None
    except OSError as error:
        raise StoreDeniedError(f"{path}: the token cannot be read: {error.strerror}") from None
    token = token or environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    told = ask_json("GET", url, {"authorization": token} if token else {}, timeout=QUICK)
    return _read(told, "the container's role")


def ask_instance(root: str) -> Keys:
    """The keys of a machine's role, by version 2 of the metadata service."""
    path = f"{root}/latest/meta-data/iam/security-credentials/"
    ttl = {"x-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
    reply = ask("PUT", f"{root}/latest/api/token", ttl, timeout=QUICK)
    if reply.status != 200:
        raise StoreDeniedError("the machine's metadata: it gives no token")
    token = {"x-aws-ec2-metadata-token": reply.text}
    role = ask("GET", path, token, timeout=QUICK)
    if role.status != 200:
        raise StoreDeniedError("the machine's metadata: the machine has no role")
    name = role.text.splitlines()[0] if role.text else ""
    return _read(ask_json("GET", path + name, token, timeout=QUICK), "the machine's role")


def _read(told: Mapping[str, object], what: str) -> Keys:
    try:
        return read_keys(told, "Token")
    except (KeyError, ValueError, TypeError):
        raise StoreDeniedError(f"{what}: the answer has no keys") from None


def _always(keys: Keys) -> GetKeys:
    return lambda fresh: keys
