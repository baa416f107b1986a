"""Sources that stand on other sources: single sign-on, chains of roles, and identities that one
service vouches for at another. And the packages that know them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.buckets.credential_service import SECRET, CredentialService, keys_of, write_aws
from tests.buckets.identities import (
    CHAIN,
    FUTURE,
    FUTURE_SECONDS,
    ROLE,
    SSO,
    external_account,
    give_role_credentials,
    role_answer,
    sign_on,
)
from tests.harness.bucket_servers import create_s3_bucket
from tests.harness.servers import MotoServer
from volfs.buckets.address import BucketAddress
from volfs.buckets.credentials.aws_credentials import find_keys
from volfs.buckets.credentials.credentials import Keys, Renewed, Token
from volfs.buckets.credentials.google_credentials import find_google_signer
from volfs.buckets.doors.doors import find_endpoint
from volfs.buckets.http_values import WireRequest
from volfs.buckets.opening import open_bucket
from volfs.buckets.options import BucketOptions
from volfs.errors import InvalidError, StoreDeniedError, StoreUnavailableError

REQUEST = WireRequest("GET", "/x", {}, {})


# --- single sign-on -------------------------------------------------------------


def test_single_sign_on(tmp_path: Path, service: CredentialService) -> None:
    environ = write_aws(tmp_path, "config", SSO)
    environ |= {"AWS_ENDPOINT_URL_SSO": service.endpoint}
    environ |= {"AWS_ENDPOINT_URL_SSO_OIDC": service.endpoint}
    with pytest.raises(StoreDeniedError, match="aws sso login --profile dev"):
        keys_of(environ, profile="dev")
    assert service.asked == []
    sign_on(tmp_path, "corp")
    sign_on(tmp_path, "https://corp.example/start")
    give_role_credentials(service)
    for profile in ("dev", "old"):
        assert keys_of(environ, profile=profile) == Keys("SSO", "s", "t", FUTURE_SECONDS)
        _, path, headers, _ = service.asked[-1]
        assert "role_name=Reader" in path
        assert "account_id=123456789012" in path
        assert headers["x-amz-sso_bearer_token"] == SECRET
        assert SECRET not in path
    service.answers["/federation/credentials"] = (
        401,
        json.dumps({"__type": "UnauthorizedException", "message": SECRET}),
    )
    with pytest.raises(StoreDeniedError, match="aws sso login --profile dev") as caught:
        keys_of(environ, profile="dev")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_token_of_single_sign_on_is_renewed(tmp_path: Path, service: CredentialService) -> None:
    environ = write_aws(tmp_path, "config", SSO)
    environ |= {"AWS_ENDPOINT_URL_SSO": service.endpoint}
    environ |= {"AWS_ENDPOINT_URL_SSO_OIDC": service.endpoint}
    ended = {"expiresAt": "2020-01-01T00:00:00Z", "refreshToken": "again", "clientId": "c"}
    ended |= {"clientSecret": "cs", "registrationExpiresAt": FUTURE}
    path = sign_on(tmp_path, "corp", **ended)
    new = {"accessToken": "newer", "expiresIn": 3600, "refreshToken": "once-more"}
    service.answers["/token"] = (200, json.dumps(new))
    give_role_credentials(service)
    assert keys_of(environ, profile="dev") == Keys("SSO", "s", "t", FUTURE_SECONDS)
    assert json.loads(service.asked[0][3])["refreshToken"] == "again"
    assert service.asked[1][2]["x-amz-sso_bearer_token"] == "newer"
    assert json.loads(path.read_text())["refreshToken"] == "once-more"


# --- chains of roles ------------------------------------------------------------


def test_a_role_on_a_role_on_keys(tmp_path: Path, moto: MotoServer) -> None:
    environ = write_aws(tmp_path, "config", CHAIN)
    environ |= {"AWS_ENDPOINT_URL": moto.endpoint, "AWS_REGION": "us-east-1"}
    for profile in ("middle", "top"):
        keys = keys_of(environ, profile=profile)
        assert keys is not None
        assert keys.access_key.startswith("ASIA")
        assert keys.token
        assert keys.expires is not None
        assert 3000 < keys.expires - time.time() <= 3700
    around = environ | {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"}
    keys = keys_of(around, profile="around")
    assert keys is not None
    assert keys.access_key.startswith("ASIA")
    # The keys that come out of the chain open the bucket.
    name = create_s3_bucket(moto)
    bucket = open_bucket(f"s3://{name}", BucketOptions(environ=environ, profile="top"))
    bucket.put("x", b"x")
    assert bucket.get("x")[1] == b"x"
    bucket.close()


def test_the_whole_chain_is_asked_for(tmp_path: Path, service: CredentialService) -> None:
    """The keys of each role sign the request for the next one."""
    environ = write_aws(tmp_path, "config", CHAIN + SSO)
    environ |= {"AWS_ENDPOINT_URL_STS": service.endpoint, "AWS_ENDPOINT_URL_SSO": service.endpoint}
    service.answers["/"] = (200, role_answer("ROLE"))
    assert keys_of(environ, profile="top") == Keys("ROLE", "s", "t", FUTURE_SECONDS)
    first, second = service.asked
    assert "Credential=BASE/" in first[2]["authorization"]
    assert parse_qs(first[3])["RoleArn"] == ["arn:aws:iam::123456789012:role/middle"]
    assert "Credential=ROLE/" in second[2]["authorization"]
    assert second[2]["x-amz-security-token"] == "t"
    assert parse_qs(second[3])["RoleSessionName"] == ["on-top"]
    sign_on(tmp_path, "corp")
    give_role_credentials(service)
    assert keys_of(environ, profile="on-top") == Keys("ROLE", "s", "t", FUTURE_SECONDS)
    assert "Credential=SSO/" in service.asked[-1][2]["authorization"]


def test_chains_that_lead_nowhere(tmp_path: Path, service: CredentialService) -> None:
    environ = write_aws(tmp_path, "config", CHAIN)
    environ |= {"AWS_ENDPOINT_URL_STS": service.endpoint}
    for profile, error, said in [
        ("code", InvalidError, "asks for a code"),
        ("circle", InvalidError, "circle"),
        ("nothing", InvalidError, "nobody"),
        ("around", StoreDeniedError, "credentials"),
    ]:
        with pytest.raises(error, match=said) as caught:
            keys_of(environ, profile=profile)
        assert SECRET not in "".join(traceback.format_exception(caught.value))
        assert "\n" not in str(caught.value)
    refused = f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{SECRET}</Message></Error>"
    service.answers["/"] = (403, f"{refused}</ErrorResponse>")
    with pytest.raises(StoreDeniedError, match="AccessDenied") as caught:
        keys_of(environ, profile="middle")
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    environ["AWS_ENDPOINT_URL_STS"] = "http://127.0.0.1:9"
    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:9"):
        keys_of(environ, profile="middle")


# --- what decides where requests go -----------------------------------------------


def test_this_process_is_not_looked_at(
    tmp_path: Path, service: CredentialService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon mounts for others, so that only the environment of the options counts."""
    stray = CredentialService()
    try:
        (tmp_path / "stray" / ".aws").mkdir(parents=True)
        keys = f"aws_access_key_id=STRAY\naws_secret_access_key={SECRET}\nregion=stray\n"
        (tmp_path / "stray" / ".aws" / "config").write_text(f"[default]\n{keys}")
        (tmp_path / "token").write_text("token")
        for name, value in {
            "HOME": str(tmp_path / "stray"),
            "AWS_PROFILE": "stray",
            "AWS_ACCESS_KEY_ID": "STRAY",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ROLE_ARN": ROLE,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
            "AWS_ENDPOINT_URL": stray.endpoint,
            "AWS_ENDPOINT_URL_STS": stray.endpoint,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{stray.endpoint}/keys",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": stray.endpoint,
            "GCE_METADATA_HOST": stray.host,
            **dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), stray.endpoint),
        }.items():
            monkeypatch.setenv(name, value)
        nobody = {"HOME": str(tmp_path / "nowhere")}
        assert keys_of(nobody) is None
        assert keys_of(nobody, {}) is None
        machine = {"AWS_EC2_METADATA_DISABLED": ""}
        machine |= {"AWS_EC2_METADATA_SERVICE_ENDPOINT": service.endpoint}
        assert keys_of(nobody | machine) is None
        assert service.asked[0][:2] == ("PUT", "/latest/api/token")
        sts = nobody | {"AWS_ENDPOINT_URL_STS": service.endpoint}
        sts |= {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
        service.answers["/"] = (200, role_answer("ROLE", "AssumeRoleWithWebIdentity"))
        assert keys_of(sts, role_arn=ROLE) == Keys("ROLE", "s", "t", FUTURE_SECONDS)
        google = BucketOptions(environ=nobody | {"GCE_METADATA_HOST": service.host})
        find_google_signer(google)
        assert service.asked[-1][1].startswith("/computeMetadata/")
        assert stray.asked == []
    finally:
        stray.close()


def test_endpoints_of_a_profile(tmp_path: Path) -> None:
    environ = write_aws(
        tmp_path,
        "config",
        "[default]\nendpoint_url = https://all:1\nservices = mine\n"
        "[services mine]\ns3 =\n  endpoint_url = https://s3:2\n",
    )
    bare = BucketAddress("s3", "data")
    assert find_endpoint(bare, BucketOptions(environ=environ)) == "https://s3:2"
    assert find_endpoint(bare, BucketOptions(environ=environ, secret={})) is None


def test_missing_services_are_given_up_soon(tmp_path: Path) -> None:
    """Neither a machine's service nor a container's is there; no attempt is repeated for long."""
    listener = __import__("socket").create_server(("127.0.0.1", 0), backlog=8)
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    silent = {"HOME": str(tmp_path), "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{host}"}
    silent |= {"AWS_EC2_METADATA_DISABLED": "", "GCE_METADATA_HOST": host}
    done: list[object] = []

    def look() -> None:
        done.append(keys_of(silent))
        done.append(find_google_signer(BucketOptions(environ=silent)).signs)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(60)
    listener.close()
    thread.join()
    assert done == [None, False]


# --- Google ---------------------------------------------------------------------


def show_google(environ: dict[str, str], secret: dict[str, str] | None = None) -> str:
    signer = find_google_signer(BucketOptions(secret=secret, environ=environ))
    return signer.sign(REQUEST, "h").headers.get("authorization", "")


def test_an_identity_of_elsewhere_at_google(tmp_path: Path, service: CredentialService) -> None:
    token = tmp_path / "token"
    token.write_text(SECRET)
    given = {"access_token": "of-sts", "expires_in": 3600, "token_type": "Bearer"}
    given["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
    service.answers["/sts"] = (200, json.dumps(given))
    text = external_account(service, token)
    (tmp_path / "file.json").write_text(text)
    named = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "file.json")}
    for shown in (
        show_google({}, {"GOOGLE_APPLICATION_CREDENTIALS_JSON": text}),
        show_google(named),
    ):
        assert shown == "Bearer of-sts"
        assert parse_qs(service.asked[-1][3])["subject_token"] == [SECRET]
    # By way of a service account.
    path = "/v1/projects/-/serviceAccounts/a@b:generateAccessToken"
    service.answers[path] = (200, json.dumps({"accessToken": "of-account", "expireTime": FUTURE}))
    url = service.endpoint + path
    as_account = external_account(service, token, service_account_impersonation_url=url)
    shown = show_google({}, {"GOOGLE_APPLICATION_CREDENTIALS_JSON": as_account})
    assert shown == "Bearer of-account"
    assert service.asked[-1][2]["authorization"] == "Bearer of-sts"
    service.answers["/sts"] = (400, json.dumps({"error": "x", "error_description": SECRET}))
    with pytest.raises(StoreDeniedError, match="no token") as caught:
        show_google(named)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    service.answers["/sts"] = (503, "")
    with pytest.raises(StoreUnavailableError, match="503"):
        show_google(named)


def test_keys_of_aws_at_google(tmp_path: Path, service: CredentialService) -> None:
    """Google is sent a request to AWS that is signed, and never the keys."""
    text = external_account(
        service,
        tmp_path,
        subject_token_type="urn:ietf:params:aws:token-type:aws4_request",
        credential_source={"environment_id": "aws1"},
    )
    given = {"access_token": "of-aws", "expires_in": 3600, "token_type": "Bearer"}
    given["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
    service.answers["/sts"] = (200, json.dumps(given))
    secret = {"GOOGLE_APPLICATION_CREDENTIALS_JSON": text, "AWS_ACCESS_KEY_ID": "AKFEDERATED"}
    secret |= {"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu-west-1"}
    assert show_google({}, secret) == "Bearer of-aws"
    assert "AKFEDERATED" in service.asked[-1][3]
    assert "eu-west-1" in service.asked[-1][3]
    assert SECRET not in service.asked[-1][3]


# --- renewal ----------------------------------------------------------------------


def test_short_lives_are_renewed_at_half(tmp_path: Path) -> None:
    now = 1000.0
    count = 0

    def source() -> Token:
        nonlocal count
        count += 1
        return Token(f"t{count}", now + 200)

    renewed = Renewed(source, lambda: now)
    assert renewed() is renewed()
    now += 99
    assert renewed().token == "t1"
    now += 2
    assert renewed().token == "t2"
    assert renewed().token == "t2"


def test_a_file_that_somebody_renews(tmp_path: Path) -> None:
    def write(name: str) -> dict[str, str]:
        text = f"[default]\naws_access_key_id={name}\naws_secret_access_key=s\n"
        return write_aws(tmp_path, "credentials", text)

    options = BucketOptions(environ=write("ONE"))
    get = find_keys(options, "us-east-1")
    assert get is not None
    assert get(False).access_key == "ONE"
    write("TWO")
    assert get(False).access_key == "ONE"
    assert get(True).access_key == "TWO"


# --- the extra --------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["urllib3", "botocore", "google.auth", "google"])
def test_a_missing_extra_says_what_to_install(missing: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from volfs.daemon.buckets.opening import open_planned\n"
        "from volfs_cli.main import run\n"
        "sys.exit(run(['bucket', 'ls', 's3://bucket']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, cwd="/", capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'volfs[buckets]'" in done.stderr
