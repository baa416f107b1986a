"""botocore's session and sources of credentials, which see only what the options have.

By itself, botocore looks at the environment of this process. The daemon mounts for others, so it
has to look at theirs. botocore does so where it is given another mapping; where it cannot be
given one, the classes here say what to use.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.configprovider import (
    BOTOCORE_DEFAUT_SESSION_VARIABLES,
    ConfigChainFactory,
    ConfiguredEndpointProvider,
)
from botocore.credentials import (
    AssumeRoleProvider,
    AssumeRoleWithWebIdentityProvider,
    CanonicalNameCredentialSourcer,
    ContainerProvider,
    EnvProvider,
    InstanceMetadataProvider,
    ProcessProvider,
    ProfileProviderBuilder,
)
from botocore.exceptions import CredentialRetrievalError
from botocore.httpsession import URLLib3Session
from botocore.session import Session
from botocore.utils import (
    ContainerMetadataFetcher,
    InstanceMetadataFetcher,
    JSONFileCache,
    create_nested_client,
)

from volfs.buckets.options import BucketOptions
from volfs.buckets.proxies import find_proxy
from volfs.errors import InvalidError, StoreDeniedError

SESSION = "volfs"
QUICK = 1.0
"""Seconds for a service that is on this machine or nowhere. Where it is missing, opening a bucket
must not wait for it."""
PROCESS_SECONDS = 60.0
REGION = "us-east-1"
_LIMITS = Config(
    connect_timeout=5,
    read_timeout=10,
    retries={"total_max_attempts": 2, "mode": "standard"},
    defaults_mode="legacy",
    ignore_configured_endpoint_urls=True,
)


class AwsSession(Session):  # type: ignore[misc]
    """A session for one bucket's credentials."""

    def __init__(self, options: BucketOptions, region: str) -> None:
        environ = dict(options.environ)
        named = options.profile or environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
        super().__init__(profile=named or None)
        self.options = options
        self.region = REGION if region == "auto" else region
        self._home = Path(environ.get("HOME") or "/nonexistent")
        self._look_at(environ)
        self._place("config_file", environ.get("AWS_CONFIG_FILE"), "config")
        self._place("credentials_file", environ.get("AWS_SHARED_CREDENTIALS_FILE"), "credentials")

    def _look_at(self, environ: Mapping[str, str]) -> None:
        """Find the values of all settings in this environment, and in no other."""
        factory = ConfigChainFactory(session=self, environ=environ)
        store = self.get_component("config_store")
        for name, (
            setting,
            variables,
            default,
            convert,
        ) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items():
            chain = factory.create_config_chain(
                instance_name=name,
                env_var_names=variables,
                config_property_names=setting,
                default=default,
                conversion_func=convert,
            )
            store.set_config_provider(name, chain)

    def _place(self, variable: str, named: str | None, name: str) -> None:
        text = named or str(self._home / ".aws" / name)
        if text.startswith("~/"):
            text = str(self._home / text[2:])
        self.set_config_variable(variable, text)

    @property
    def profile_name(self) -> str:
        return self.profile or "default"

    def make_cache(self, *folders: str) -> JSONFileCache:
        """Files that AWS's tools write below the user's home."""
        return JSONFileCache(str(self._home.joinpath(".aws", *folders, "cache")))

    def create_client(self, service_name: str, region_name: str | None = None, **given: Any) -> Any:
        """A client that has time limits, and goes where the options say."""
        config = _LIMITS.merge(given["config"]) if given.get("config") else _LIMITS
        region = region_name or config.region_name or self.region
        endpoint = given.get("endpoint_url") or self.find_service(service_name)
        host = endpoint or f"https://{service_name}.{region}.amazonaws.com"
        config = config.merge(Config(proxies=self._find_proxies(host)))
        given |= {"config": config, "endpoint_url": endpoint}
        return super().create_client(service_name, region, **given)

    def _find_proxies(self, url: str) -> dict[str, str]:
        """The proxy for a service, as botocore takes it. With an empty mapping botocore does not
        look at this process's environment."""
        proxy = find_proxy(url, self.options.environ)
        return {} if proxy is None else {urlsplit(url).scheme: proxy.whole_url}

    def create_nested(self, service_name: str, **given: Any) -> Any:
        return create_nested_client(self, service_name, **given)

    def find_service(self, service_name: str) -> str | None:
        """The endpoint that somebody has named for a service. All that the secret says comes
        before what the environment says, and the profile is last."""
        for values in (self.options.secret or {}, self.options.environ):
            found = ConfiguredEndpointProvider({}, {}, service_name, values).provide()
            if found:
                return str(found)
        return self.find_service_in_profile(service_name)

    def find_service_in_profile(self, service_name: str) -> str | None:
        if self.options.secret is not None:
            return None
        profile = self.get_scoped_config()
        found: str | None = ConfiguredEndpointProvider(
            self.full_config, profile, service_name, {}
        ).provide()
        return found


# --- sources ------------------------------------------------------------------


def list_sources(session: AwsSession) -> list[Any]:
    """Where credentials may be if there is no secret, in the order in which AWS's tools look.
    A profile that was named comes alone."""
    environ = dict(session.options.environ)
    here: list[Any] = [EnvProvider(environ), make_container(environ), make_machine(session)]
    of_profile = _list_profile_sources(session, here)
    if session.options.profile is not None:
        return of_profile
    return [here[0], *_of_environment(session, environ), *of_profile, *here[1:]]


def _of_environment(session: AwsSession, values: Mapping[str, str]) -> list[Any]:
    """The role of a web identity, if these values name one."""
    role, path = values.get("AWS_ROLE_ARN"), values.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if not role or not path:
        return []
    return [make_web_identity(session, role, values.get("AWS_ROLE_SESSION_NAME"), path)]


def list_secret_sources(session: AwsSession, secret: Mapping[str, str]) -> list[Any]:
    return [EnvProvider(dict(secret)), *_of_environment(session, secret)]


def _list_profile_sources(session: AwsSession, here: list[Any]) -> list[Any]:
    builder = _Builder(
        session,
        cache={},
        region_name=session.region,
        sso_token_cache=session.make_cache("sso"),
        login_token_cache=session.make_cache("login"),
    )
    role = AssumeRoleProvider(
        load_config=lambda: session.full_config,
        client_creator=session.create_nested,
        cache={},
        profile_name=session.profile_name,
        prompter=_refuse_prompt,
        credential_sourcer=CanonicalNameCredentialSourcer(here),
        profile_provider_builder=builder,
    )
    return [role, *builder.providers(session.profile_name, disable_env_vars=True)]


def make_web_identity(
    session: AwsSession, role: str, name: str | None, path: str, token: str | None = None
) -> AssumeRoleWithWebIdentityProvider:
    """The source that takes a role with a token: the one in the file, or the one that is given."""
    profile = {
        "role_arn": role,
        "role_session_name": name or SESSION,
        "web_identity_token_file": path,
    }
    return AssumeRoleWithWebIdentityProvider(
        load_config=lambda: {"profiles": {SESSION: profile}},
        client_creator=session.create_nested,
        profile_name=SESSION,
        cache={},
        disable_env_vars=True,
        token_loader_cls=_TokenFile if token is None else lambda _: lambda: token,
    )


def make_container(environ: dict[str, str]) -> ContainerProvider:
    return ContainerProvider(environ, _ContainerFetcher(URLLib3Session(timeout=QUICK)))


def make_machine(session: AwsSession) -> InstanceMetadataProvider:
    names = ("ec2_metadata_service_endpoint", "ec2_metadata_service_endpoint_mode")
    settings = {
        name: session.get_config_variable(name) for name in (*names, "ec2_metadata_v1_disabled")
    }
    timeout = float(session.get_config_variable("metadata_service_timeout") or QUICK)
    return InstanceMetadataProvider(
        _MachineFetcher(
            timeout=timeout,
            num_attempts=int(session.get_config_variable("metadata_service_num_attempts") or 1),
            env=dict(session.options.environ),
            user_agent=session.user_agent(),
            config=settings,
        )
    )


class _TokenFile:
    """A token in a file, without the line's end that some programs write."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def __call__(self) -> str:
        try:
            return self._path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise StoreDeniedError(f"{self._path}: the token cannot be read: {reason}") from None


class _Builder(ProfileProviderBuilder):  # type: ignore[misc]
    """The sources of a profile. A program that gives credentials gets a time limit."""

    def providers(self, profile_name: str, disable_env_vars: bool = False) -> list[Any]:
        found = super().providers(profile_name, disable_env_vars)
        return [
            _Program(profile_name, lambda: self._session.full_config, _LimitedProcess)
            if isinstance(source, ProcessProvider)
            else source
            for source in found
        ]


class _Program(ProcessProvider):  # type: ignore[misc]
    def load(self) -> Any:
        try:
            return super().load()
        except (CredentialRetrievalError, ValueError, LookupError, TypeError, AttributeError):
            # The causes may show what the program has printed.
            raise StoreDeniedError(
                "credential_process: its output has no Version 1 with AccessKeyId and "
                "SecretAccessKey"
            ) from None


class _LimitedProcess(subprocess.Popen[bytes]):
    """A program that ends in time, and whose words reach no message."""

    def __init__(self, words: list[str], **given: Any) -> None:
        try:
            super().__init__(words, stdin=subprocess.DEVNULL, **given)
        except (OSError, ValueError, IndexError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise StoreDeniedError(f"credential_process: cannot be run: {reason}") from None

    def communicate(
        self, input: bytes | None = None, timeout: float | None = PROCESS_SECONDS
    ) -> tuple[bytes, bytes]:
        try:
            said = super().communicate(input, timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            super().communicate()
            raise StoreDeniedError(
                f"credential_process: no answer within {PROCESS_SECONDS:.0f} seconds"
            ) from None
        if self.returncode != 0:
            raise StoreDeniedError(f"credential_process: it ended with status {self.returncode}")
        return said


class _ContainerFetcher(ContainerMetadataFetcher):  # type: ignore[misc]
    RETRY_ATTEMPTS = 2

    def retrieve_full_uri(self, full_url: str, headers: Any = None) -> Any:
        try:
            self._validate_allowed_url(full_url)
        except ValueError:
            raise InvalidError(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI: keys go over https://, or stay on this machine"
            ) from None
        return super().retrieve_full_uri(full_url, headers)


class _MachineFetcher(InstanceMetadataFetcher):  # type: ignore[misc]
    def __init__(self, timeout: float, **given: Any) -> None:
        super().__init__(timeout=timeout, **given)
        # botocore's own would go through the HTTP proxy of this process's environment.
        self._session = URLLib3Session(timeout=timeout)


def _refuse_prompt(_: str) -> str:
    raise InvalidError(
        "the profile's role asks for a code (mfa_serial), and nobody is there to type it; let "
        "'aws configure export-credentials' give keys for a time"
    )
