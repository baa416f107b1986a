"""Our signatures of version 4 are those of botocore, header by header."""

from __future__ import annotations

import calendar
import hashlib
import time

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given, settings
from hypothesis import strategies as st

from volfs.buckets.credentials.credentials import Keys
from volfs.buckets.credentials.signature_v4 import AWS, GOOGLE, sign_request
from volfs.buckets.http_values import WireRequest, encode_path

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
PRINTED = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
KEYS = st.one_of(
    TEXT,
    st.sampled_from(["", "/", "a//b", "..", "a/./b", "ä ö", "%2F", "a+b", "~", "?", "#x", "\t"]),
)
QUERIES = st.dictionaries(
    st.one_of(TEXT, st.sampled_from(["uploads", "delete", "prefix", "Prefix", "max-keys"])),
    st.one_of(TEXT, st.sampled_from(["", "a b", "a=b&c", "+", "%20"])),
    max_size=4,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["content-md5", "Range", "if-none-match", "x-amz-meta-Ä", "x-amz-copy-source", "User-Agent"]
    ),
    st.one_of(PRINTED, st.sampled_from(["", "  a   b ", "é", "bytes=0-9"])),
    max_size=4,
)
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE"]),
    key=KEYS,
    query=QUERIES,
    headers=HEADERS,
    body=st.binary(max_size=50),
    secret=SECRETS,
    token=st.one_of(st.just(""), SECRETS),
    region=st.sampled_from(["us-east-1", "auto", "eu-central-1"]),
    host=st.sampled_from(["bucket.s3.amazonaws.com", "127.0.0.1:8333", "[::1]:9000"]),
)
@example("GET", "", {"list-type": "2", "prefix": "", "delimiter": "/"}, {}, b"", "s", "", "a", "h")
def test_a_signature_is_that_of_botocore(
    method: str,
    key: str,
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
    secret: str,
    token: str,
    region: str,
    host: str,
) -> None:
    path = f"/bucket/{encode_path(key)}"
    theirs = AWSRequest(method, f"https://{host}{path}", headers | {"host": host}, params=query)
    theirs.data = body
    theirs.context["payload_signing_enabled"] = True
    _Signed(Credentials("AKIDEXAMPLE", secret, token or None), "s3", region).add_auth(theirs)
    date = theirs.headers["X-Amz-Date"]
    seconds = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    keys = Keys("AKIDEXAMPLE", secret, token)
    request = WireRequest(method, path, query, headers, body)
    ours = sign_request(AWS, keys, region, request, host, seconds)
    assert ours.headers == {name.lower(): value for name, value in theirs.headers.items()}
    assert ours._replace(headers=headers) == request


class _Signed(S3SigV4Auth):  # type: ignore[misc]
    """Signs the digest of the body over HTTPS, too, as volfs does."""

    def payload(self, request: AWSRequest) -> str:
        return hashlib.sha256(request.data).hexdigest()


def test_a_key_of_another_day_region_or_service_is_another() -> None:
    request = WireRequest("GET", "/b/k", {}, {})
    keys = Keys("AKIDEXAMPLE", "secret")
    signed = {
        sign_request(words, Keys("AKIDEXAMPLE", secret), region, request, "host", day * 86400)
        .headers["authorization"]
        .rpartition("=")[2]
        for words in (AWS, GOOGLE)
        for secret in ("secret", "other")
        for region in ("auto", "us-east-1")
        for day in range(20_000, 20_003)
    }
    assert len(signed) == 2 * 2 * 2 * 3
    assert sign_request(AWS, keys, "auto", request, "host", 1) == sign_request(
        AWS, keys, "auto", request, "host", 1
    )
