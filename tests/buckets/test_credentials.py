"""Whose credentials of AWS sign, where requests go, and that credentials are renewed in time."""

from __future__ import annotations

import json
import stat
import sys
import threading
import traceback
from pathlib import Path

import pytest

from tests.buckets.credential_service import SECRET, CredentialService, keys_of, write_aws
from tests.harness.bucket_servers import create_s3_bucket, environment_of
from tests.harness.fault_proxy import Fault, proxied
from tests.harness.servers import SeaweedServer
from volfs.buckets.address import BucketAddress
from volfs.buckets.credentials.credentials import EARLY, Keys, Renewed, Token
from volfs.buckets.doors.doors import find_endpoint, find_region, place_bucket
from volfs.buckets.opening import open_bucket
from volfs.buckets.options import BucketOptions
from volfs.errors import InvalidError, StoreDeniedError, StoreUnavailableError

# --- AWS: where keys come from -----------------------------------------------


def test_the_order_in_which_keys_are_found(tmp_path: Path) -> None:
    environ = write_aws(
        tmp_path,
        "credentials",
        "[default]\naws_access_key_id=FILE\naws_secret_access_key=s1\n"
        "[other]\naws_access_key_id=OTHER\naws_secret_access_key=s2\naws_session_token=t2\n",
    )
    set_too = environ | {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s3"}
    secret = {"AWS_ACCESS_KEY_ID": "SEC", "AWS_SECRET_ACCESS_KEY": "s4", "AWS_SESSION_TOKEN": "t4"}
    assert keys_of(environ) == Keys("FILE", "s1")
    assert keys_of(environ | {"AWS_PROFILE": "other"}) == Keys("OTHER", "s2", "t2")
    assert keys_of(set_too) == Keys("ENV", "s3")
    assert keys_of(set_too, profile="other") == Keys("OTHER", "s2", "t2")
    assert keys_of(set_too, secret) == Keys("SEC", "s4", "t4")
    assert keys_of(set_too, {}) is None
    assert keys_of({"HOME": str(tmp_path / "nowhere")}) is None


def test_what_cannot_be_credentials(tmp_path: Path) -> None:
    environ = write_aws(
        tmp_path,
        "config",
        "[profile sso]\nsso_session=x\nsso_role_name=r\n[profile bare]\nregion=x\n",
    )
    with pytest.raises(InvalidError, match="only one of"):
        keys_of({"AWS_ACCESS_KEY_ID": "AK"})
    with pytest.raises(InvalidError, match="only one of"):
        keys_of({}, {"AWS_SECRET_ACCESS_KEY": SECRET})
    with pytest.raises(InvalidError, match=r"neither .* has it"):
        keys_of(environ, profile="nobody")
    with pytest.raises(InvalidError, match="sso-session does not exist"):
        keys_of(environ, profile="sso")
    with pytest.raises(InvalidError, match="no keys"):
        keys_of(environ, profile="bare")
    broken = write_aws(tmp_path, "credentials", f"{SECRET} no section\n")
    with pytest.raises(InvalidError, match="no file of sections") as caught:
        keys_of(broken)
    assert SECRET not in str(caught.value)


def make_program(folder: Path, body: str) -> str:
    path = folder / "give keys"
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"'{path}' --for me"


def test_a_program_that_gives_keys(tmp_path: Path) -> None:
    told = {"Version": 1, "AccessKeyId": "PROG", "SecretAccessKey": "s", "SessionToken": "t"}
    told["Expiration"] = "2036-01-01T00:00:00Z"
    command = make_program(tmp_path, f"print({json.dumps(told)!r})")
    environ = write_aws(tmp_path, "config", f"[default]\ncredential_process = {command}\n")
    found = keys_of(environ)
    assert found is not None
    assert (found.access_key, found.secret_key, found.token) == ("PROG", "s", "t")
    assert found.expires == 2082758400.0
    for body, said in [
        (f"import sys; print('{SECRET}'); sys.exit('{SECRET}')", "status 1"),
        (f"print('{SECRET}')", "no Version"),
        (f'print(\'{{"Version": 2, "x": "{SECRET}"}}\')', "no Version 1"),
    ]:
        make_program(tmp_path, body)
        with pytest.raises(StoreDeniedError, match=said) as caught:
            keys_of(environ)
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    environ = write_aws(tmp_path, "config", "[default]\ncredential_process = /no/such/program\n")
    with pytest.raises(StoreDeniedError, match="cannot be run"):
        keys_of(environ)


STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ROLE</AccessKeyId>
<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2036-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


def test_the_role_of_a_web_identity(tmp_path: Path, service: CredentialService) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    environ = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ENDPOINT_URL_STS": service.endpoint,
    }
    service.answers["/"] = (200, STS)
    role = "arn:aws:iam::1:role/reader"
    wanted = Keys("ROLE", "s", "t", 2082758400.0)
    assert keys_of(environ, role_arn=role) == wanted
    assert "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Freader" in service.asked[0][3]
    assert f"WebIdentityToken={SECRET}" in service.asked[0][3]
    assert SECRET not in service.asked[0][1]
    assert keys_of(environ | {"AWS_ROLE_ARN": role}) == wanted
    service.answers["/"] = (
        400,
        f"<ErrorResponse><Error><Code>ExpiredTokenException</Code>"
        f"<Message>{SECRET}</Message></Error></ErrorResponse>",
    )
    with pytest.raises(StoreDeniedError, match="ExpiredTokenException") as caught:
        keys_of(environ, role_arn=role)
    assert SECRET not in str(caught.value)
    with pytest.raises(InvalidError, match="AWS_WEB_IDENTITY_TOKEN_FILE"):
        keys_of({}, role_arn=role)
    (tmp_path / "token").unlink()
    with pytest.raises(StoreDeniedError, match="cannot be read"):
        keys_of(environ, role_arn=role)


GIVEN = {"AccessKeyId": "HERE", "SecretAccessKey": "s", "Token": "t"}
GIVEN["Expiration"] = "2036-01-01T00:00:00Z"


def test_what_a_container_and_a_machine_have(service: CredentialService) -> None:
    wanted = Keys("HERE", "s", "t", 2082758400.0)
    service.answers["/keys"] = (200, json.dumps(GIVEN))
    container = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{service.endpoint}/keys"}
    assert keys_of(container | {"AWS_CONTAINER_AUTHORIZATION_TOKEN": SECRET}) == wanted
    assert service.asked[0][2]["authorization"] == SECRET
    with pytest.raises(InvalidError, match="https"):
        keys_of({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/keys"})
    machine = {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": service.endpoint,
        "AWS_EC2_METADATA_DISABLED": "",
    }
    assert keys_of(machine) is None
    folder = "/latest/meta-data/iam/security-credentials/"
    service.answers |= {
        "/latest/api/token": (200, "TOKEN"),
        folder: (200, "role-name"),
        f"{folder}role-name": (200, json.dumps(GIVEN)),
    }
    assert keys_of(machine) == wanted
    assert service.asked[-1][2]["x-aws-ec2-metadata-token"] == "TOKEN"


# --- AWS: where requests go --------------------------------------------------


def test_where_requests_go(tmp_path: Path) -> None:
    bare = BucketAddress("s3", "data")
    config = write_aws(
        tmp_path, "config", "[default]\nregion = eu-north-1\nendpoint_url = https://profile:1\n"
    )

    def found(address: BucketAddress, **values: str) -> tuple[str | None, str]:
        options = BucketOptions(environ=values)
        endpoint = find_endpoint(address, options)
        return endpoint, find_region(address, options, endpoint)

    assert found(bare) == (None, "us-east-1")
    assert found(bare, AWS_DEFAULT_REGION="r1") == (None, "r1")
    assert found(bare, AWS_DEFAULT_REGION="r1", AWS_REGION="r2") == (None, "r2")
    assert found(bare, AWS_ENDPOINT_URL="http://h:1") == ("http://h:1", "auto")
    both = {"AWS_ENDPOINT_URL": "http://h:1", "AWS_ENDPOINT_URL_S3": "http://h:2/"}
    assert found(bare, **both) == ("http://h:2", "auto")
    assert found(bare._replace(endpoint="http://h:3", region="r3"), **both) == ("http://h:3", "r3")
    assert found(bare, **config) == ("https://profile:1", "eu-north-1")
    with pytest.raises(InvalidError, match="AWS_ENDPOINT_URL"):
        found(bare, AWS_ENDPOINT_URL="h:1")
    with_secret = BucketOptions(secret={"AWS_REGION": "sec"}, environ={"AWS_REGION": "env"})
    assert find_region(bare, with_secret, None) == "sec"


@pytest.mark.parametrize(
    ("address", "endpoint", "place"),
    [
        (BucketAddress("s3", "data"), None, ("https://data.s3.r.amazonaws.com", "")),
        (BucketAddress("s3", "da.ta"), None, ("https://s3.r.amazonaws.com", "/da.ta")),
        (BucketAddress("s3", "data", style="path"), None, ("https://s3.r.amazonaws.com", "/data")),
        (BucketAddress("s3", "data"), "http://h:1", ("http://h:1", "/data")),
        (BucketAddress("s3", "data"), "http://h:1/base", ("http://h:1", "/base/data")),
        (BucketAddress("s3", "data", style="host"), "http://h:1", ("http://data.h:1", "")),
    ],
)
def test_where_a_bucket_is(
    address: BucketAddress, endpoint: str | None, place: tuple[str, str]
) -> None:
    assert place_bucket(address, endpoint, "r") == place


def test_no_library_looks_around(
    seaweed: SeaweedServer, service: CredentialService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this process has in its environment changes nothing that options do not have."""
    name = create_s3_bucket(seaweed)
    for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, service.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "STRAY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "STRAY")
    bucket = open_bucket(f"s3://{name}", BucketOptions(environ=environment_of(seaweed)))
    bucket.put("x", b"x")
    assert bucket.head("x").size == 1
    assert service.asked == []


# --- renewal -----------------------------------------------------------------


def test_keys_are_renewed_before_they_end() -> None:
    now = 1000.0
    made: list[Token] = []

    def source() -> Token:
        if broken:
            raise StoreUnavailableError("away")
        made.append(Token(f"t{len(made)}", now + 3600))
        return made[-1]

    broken = False
    renewed = Renewed(source, lambda: now)
    assert renewed() is renewed() is made[0]
    now += 3600 - EARLY - 1
    assert renewed() is made[0]
    now += 2
    assert renewed() is made[1]
    assert renewed(True) is made[2]
    now += 3600 - EARLY + 1
    broken = True
    assert renewed() is made[2]
    now += EARLY
    with pytest.raises(StoreUnavailableError):
        renewed()
    broken = False
    assert renewed() is made[3]


def test_one_thread_renews_for_all() -> None:
    asked = threading.Semaphore(0)
    go_on = threading.Event()

    def source() -> Token:
        asked.release()
        go_on.wait()
        return Token("t", None)

    renewed = Renewed(source)
    found: list[Token] = []
    threads = [threading.Thread(target=lambda: found.append(renewed())) for _ in range(8)]
    for thread in threads:
        thread.start()
    asked.acquire()
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert not asked.acquire(blocking=False)


def test_keys_that_ended_are_renewed_and_the_request_sent_again(
    seaweed: SeaweedServer, tmp_path: Path
) -> None:
    name = create_s3_bucket(seaweed)
    told = {
        "Version": 1,
        "AccessKeyId": seaweed.access_key,
        "SecretAccessKey": seaweed.secret_key,
    }
    log = tmp_path / "log"
    command = make_program(
        tmp_path, f"open({str(log)!r}, 'a').write('x')\nprint({json.dumps(told)!r})"
    )
    environ = write_aws(tmp_path, "config", f"[default]\ncredential_process = {command}\n")
    with proxied(seaweed.endpoint) as proxy:
        address = BucketAddress("s3", name, endpoint=proxy.endpoint, region="us-east-1")
        bucket = open_bucket(address, BucketOptions(environ=environ, deadline=5))
        bucket.put("x", b"x")
        assert log.read_text() == "x"
        # The same keys again: nothing is gained, so the error is told.
        proxy.add(Fault.STATUS, status=400, code="ExpiredToken", count=1)
        with pytest.raises(StoreDeniedError, match="expired"):
            bucket.get("x")
        assert log.read_text() == "xx"
        make_program(tmp_path, f"print({json.dumps(told | {'SessionToken': ''})!r}, end=' ')")
        bucket.get("x")
        bucket.close()
