"""What Google and Azure are shown, and that nothing ever shows a secret."""

from __future__ import annotations

import io
import json
import logging
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.buckets.credential_service import SECRET, CredentialService
from tests.harness.bucket_servers import create_s3_bucket
from tests.harness.gcs_fake import GcsFake
from tests.harness.servers import AzuriteServer, SeaweedServer
from volfs.buckets.access import Bucket
from volfs.buckets.address import BucketAddress
from volfs.buckets.credentials.azure_credentials import SasSigner, find_azure_signer
from volfs.buckets.credentials.credentials import Keys, Token
from volfs.buckets.credentials.google_credentials import find_google_signer
from volfs.buckets.http_values import WireRequest
from volfs.buckets.opening import open_bucket
from volfs.buckets.options import BucketOptions
from volfs.errors import InvalidError, StoreDeniedError, VolfsError

# --- Google ------------------------------------------------------------------


def test_tokens_of_a_service_account_are_renewed(gcs: GcsFake, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(gcs.make_account())
    options = BucketOptions(environ={"GOOGLE_APPLICATION_CREDENTIALS": str(path)}, deadline=5)
    bucket = open_bucket(BucketAddress("gs", "renewing", endpoint=gcs.endpoint), options)
    bucket.door.create_bucket(5.0)  # type: ignore[attr-defined]
    bucket.put("x", b"x")
    before = len(gcs.tokens)
    gcs.token_life = 1
    bucket.get("x")
    assert len(gcs.tokens) == before
    gcs.token_life = 3600
    bucket.close()


def test_what_google_is_shown(tmp_path: Path, service: CredentialService) -> None:
    nobody = {"HOME": str(tmp_path), "GCE_METADATA_HOST": service.host}
    request = WireRequest("GET", "/x", {}, {})

    def shown(environ: dict[str, str], secret: dict[str, str] | None = None) -> str:
        signer = find_google_signer(BucketOptions(secret=secret, environ=environ))
        return signer.sign(request, "h").headers.get("authorization", "")

    assert shown(nobody) == ""
    token = {"access_token": "of-the-machine", "expires_in": 3600}
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    service.answers[path] = (200, json.dumps(token))
    service.answers[path.removesuffix("token")] = (200, json.dumps({"email": "default"}))
    assert shown(nobody) == "Bearer of-the-machine"
    assert service.asked[-1][2]["metadata-flavor"] == "Google"
    assert shown(nobody, {}) == ""
    pair = {"GOOGLE_ACCESS_KEY_ID": "GOOG1", "GOOGLE_ACCESS_KEY_SECRET": "s"}
    assert "GOOG4-HMAC-SHA256 Credential=GOOG1/" in shown(nobody, pair)
    for values in (
        {"GOOGLE_ACCESS_KEY_ID": "GOOG1"},
        {"GOOGLE_APPLICATION_CREDENTIALS_JSON": SECRET},
        {"GOOGLE_APPLICATION_CREDENTIALS_JSON": "[]"},
        {"GOOGLE_APPLICATION_CREDENTIALS_JSON": json.dumps({"type": "external_account"})},
        {
            "GOOGLE_APPLICATION_CREDENTIALS_JSON": json.dumps(
                {"type": "service_account", "client_email": "x", "private_key": SECRET}
            )
        },
    ):
        with pytest.raises(InvalidError) as caught:
            shown(nobody, values)
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(InvalidError, match="cannot be read"):
        shown(nobody | {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none")})


# --- Azure -------------------------------------------------------------------


def test_what_azure_is_shown(tmp_path: Path, service: CredentialService) -> None:
    request = WireRequest("GET", "/x", {}, {})

    def sign(values: dict[str, str]) -> WireRequest:
        return find_azure_signer("account", BucketOptions(secret=values)).sign(request, "h")

    assert "authorization" not in sign({}).headers
    signed = sign({"AZURE_STORAGE_CONNECTION_STRING": "AccountName=account;AccountKey=c2VjcmV0"})
    assert signed.headers["authorization"].startswith("SharedKey account:")
    assert sign({"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=a%2Bb%3D"}).query == {
        "sv": "1",
        "sig": "a+b=",
    }
    (tmp_path / "token").write_text("assertion")
    service.answers["/tenant/oauth2/v2.0/token"] = (
        200,
        json.dumps({"access_token": "of-azure", "expires_in": 3600}),
    )
    identity = {
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "client",
        "AZURE_AUTHORITY_HOST": service.endpoint,
    }
    path = str(tmp_path / "token")
    for proof in ({"AZURE_CLIENT_SECRET": "s"}, {"AZURE_FEDERATED_TOKEN_FILE": path}):
        assert sign(identity | proof).headers["authorization"] == "Bearer of-azure"
    assert "client_assertion=assertion" in service.asked[-1][3]
    for values in (
        {"AZURE_STORAGE_KEY": f"{SECRET}!"},
        {"AZURE_STORAGE_SAS_TOKEN": SECRET},
    ):
        with pytest.raises(InvalidError) as caught:
            sign(values)
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_azure_refuses_in_our_words(azurite: AzuriteServer, azure_bucket: Bucket) -> None:
    azure_bucket.put("there", b"x")
    name = azure_bucket.door.describe().rpartition("/")[2]

    def open_as(secret: dict[str, str], container: str = name) -> Bucket:
        address = BucketAddress("az", container, account=azurite.account, endpoint=azurite.endpoint)
        return open_bucket(address, BucketOptions(secret=secret, deadline=5))

    # Azure itself says AuthenticationFailed, and then its key is told to be wrong.
    with pytest.raises(StoreDeniedError, match="AuthorizationFailure"):
        open_as({"AZURE_STORAGE_KEY": "d3Jvbmc="}).head("there")
    with pytest.raises(StoreDeniedError):
        open_as({}).get("there")
    with pytest.raises(VolfsError, match="no such bucket"):
        open_as({"AZURE_STORAGE_KEY": azurite.key}, "no-such-box").get("there")


# --- nothing shows them ------------------------------------------------------


ASKED: tuple[Callable[[Bucket], object], ...] = (
    lambda b: b.get("x"),
    lambda b: b.head("x"),
    lambda b: b.put("x", b"x", create=True),
    lambda b: b.list_page(""),
    lambda b: b.copy("x", "y"),
    lambda b: b.delete_many(["x"]),
    lambda b: b.open_multipart("x"),
)


def make_speak(address: BucketAddress, options: BucketOptions) -> Iterator[str]:
    """All that a bucket and what it is asked say, to whoever prints them."""
    bucket = open_bucket(address, options)
    yield f"{bucket!r} {options!r} {address!r} {address.text} {bucket.door!r}\n"
    for ask in ASKED:
        try:
            ask(bucket)
        except VolfsError as error:
            yield "".join(traceback.format_exception(error)) + repr(error)
    bucket.close()


def test_nothing_shows_a_secret(
    seaweed: SeaweedServer,
    gcs: GcsFake,
    azurite: AzuriteServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every way that this file knows to make something speak, and all that it says."""
    caplog.set_level(logging.DEBUG)
    name = create_s3_bucket(seaweed)
    secrets = {
        "AWS_ACCESS_KEY_ID": seaweed.access_key,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": f"{SECRET}-token",
        "GOOGLE_ACCESS_KEY_ID": gcs.access_key,
        "GOOGLE_ACCESS_KEY_SECRET": SECRET,
        "AZURE_STORAGE_SAS_TOKEN": f"sv=2021-12-02&sig={SECRET}",
    }
    said = io.StringIO()
    options = BucketOptions(secret=secrets, environ=secrets, deadline=1)
    addresses = [
        BucketAddress("s3", name, endpoint=seaweed.endpoint),
        BucketAddress("s3", name, endpoint="http://127.0.0.1:9"),
        BucketAddress("s3", name, endpoint="http://no-such-host.invalid"),
        BucketAddress("gs", "bucket", endpoint=gcs.endpoint),
        BucketAddress("az", "box", account=azurite.account, endpoint=azurite.endpoint),
        BucketAddress("az", "box", account=azurite.account, endpoint="http://127.0.0.1:9"),
    ]
    for address in addresses:
        said.writelines(make_speak(address, options))
    shown = [Keys("AK", SECRET, SECRET), Token(SECRET), SasSigner(f"sig={SECRET}")]
    said.write(repr(shown))
    said.write(Path(f"/proc/{os.getpid()}/cmdline").read_text())
    said.write(caplog.text)
    said.write("".join(capfd.readouterr()))
    assert "StoreDeniedError" in said.getvalue()
    assert SECRET not in said.getvalue()
