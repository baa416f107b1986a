"""What the libraries log that find credentials: never a secret, and nothing of others is lost."""

from __future__ import annotations

import io
import json
import logging
import threading
import traceback
from pathlib import Path

import pytest

from tests.buckets.credential_service import SECRET, CredentialService, write_aws
from tests.buckets.identities import (
    CHAIN,
    FUTURE,
    FUTURE_SECONDS,
    ROLE,
    SSO,
    external_account,
    role_answer,
    sign_on,
)
from volfs.buckets.address import BucketAddress
from volfs.buckets.credentials.hushing import LIBRARIES, hushed
from volfs.buckets.opening import open_bucket
from volfs.buckets.options import BucketOptions
from volfs.errors import VolfsError


def secret_everywhere(
    tmp_path: Path, service: CredentialService
) -> tuple[list[BucketOptions], BucketOptions]:
    """The options for each source of Amazon's, and for Google. All of them give the secret."""
    environ = write_aws(tmp_path, "config", CHAIN + SSO)
    environ |= dict.fromkeys(
        ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_SSO", "AWS_ENDPOINT_URL"), service.endpoint
    )
    sign_on(tmp_path, "corp")
    (tmp_path / "token").write_text(SECRET)
    web = environ | {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
    told = {"accessKeyId": "K", "secretAccessKey": SECRET, "sessionToken": SECRET}
    told["expiration"] = int(FUTURE_SECONDS * 1000)  # type: ignore[assignment]
    service.answers["/federation/credentials"] = (200, json.dumps({"roleCredentials": told}))
    machine = {"AccessKeyId": "K", "SecretAccessKey": SECRET, "Token": SECRET, "Expiration": FUTURE}
    service.answers["/keys"] = (200, json.dumps(machine))
    container = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{service.endpoint}/keys"}
    container |= {"AWS_CONTAINER_AUTHORIZATION_TOKEN": SECRET}
    token = {"access_token": SECRET, "expires_in": 3600, "token_type": "Bearer"}
    token["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
    service.answers["/sts"] = (200, json.dumps(token))
    secret = {"GOOGLE_APPLICATION_CREDENTIALS_JSON": external_account(service, tmp_path / "token")}
    for_amazon = [
        BucketOptions(environ=environ, profile="dev", deadline=1),
        BucketOptions(environ=environ, profile="top", deadline=1),
        BucketOptions(environ=environ, profile="on-top", deadline=1),
        BucketOptions(environ=web, role_arn=ROLE, deadline=1),
        BucketOptions(environ=container, deadline=1),
    ]
    return for_amazon, BucketOptions(secret=secret, environ={}, deadline=1)


def test_libraries_show_no_secret(
    tmp_path: Path,
    service: CredentialService,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """All sources give the secret, and all logs of all libraries are on."""
    caplog.set_level(logging.DEBUG)
    for library in LIBRARIES:
        caplog.set_level(logging.DEBUG, library)
    for_amazon, for_google = secret_everywhere(tmp_path, service)
    said = io.StringIO()

    def say(options: BucketOptions, scheme: str = "s3") -> None:
        """Open a bucket, and send a request that is refused."""
        address = BucketAddress(scheme, "bucket", endpoint=service.endpoint)
        try:
            bucket = open_bucket(address, options)
            said.write(f"{bucket!r} {bucket.door!r} {vars(bucket.door)!r} {options!r}\n")
            bucket.get("x")
        except VolfsError as error:
            said.write("".join(traceback.format_exception(error)) + repr(error))

    for verb in ("AssumeRole", "AssumeRoleWithWebIdentity"):
        answer = role_answer("K", verb).replace(">s<", f">{SECRET}<").replace(">t<", f">{SECRET}<")
        service.answers["/"] = (200, answer)
        for options in for_amazon:
            say(options)
    say(for_google, "gs")
    said.write(caplog.text + "".join(capfd.readouterr()))
    assert any(SECRET in str(asked) for asked in service.asked)
    assert "bucket" in said.getvalue()
    assert SECRET not in said.getvalue()


def test_logs_of_others_are_not_touched(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    loggers = [logging.getLogger(f"{library}.of_a_test") for library in LIBRARIES]
    with hushed():
        for logger in loggers:
            logger.debug("ours")
        other = threading.Thread(target=lambda: loggers[0].debug("of another thread"))
        other.start()
        other.join()
    for logger in loggers:
        logger.debug("theirs")
    assert "ours" not in caplog.messages
    assert caplog.messages.count("theirs") == len(LIBRARIES)
    assert "of another thread" in caplog.messages
