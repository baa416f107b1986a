"""Signatures of requests to S3, which botocore makes."""

from __future__ import annotations

import hashlib

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

from volfs.buckets.credentials.aws_credentials import GetKeys
from volfs.buckets.credentials.hushing import hushed
from volfs.buckets.credentials.signing import RenewableSigner
from volfs.buckets.wire import WireRequest

_PAYLOAD = "volfs-payload"


class AwsSigner(RenewableSigner):
    """Signs requests with a pair of keys."""

    def __init__(self, get_keys: GetKeys, region: str) -> None:
        super().__init__(get_keys)
        self._get_keys = get_keys
        self.region = region

    def sign(self, request: WireRequest, host: str) -> WireRequest:
        headers = request.headers | {"host": host}
        signed = AWSRequest(
            request.method, f"https://{host}{request.path}", headers, params=request.query
        )
        signed.context[_PAYLOAD] = hashlib.sha256(request.body).hexdigest()
        with hushed():
            _Auth(self._get_keys(False), "s3", self.region).add_auth(signed)
        return request._replace(headers={key.lower(): text for key, text in signed.headers.items()})


class _Auth(S3SigV4Auth):  # type: ignore[misc]
    """Signs the body's digest, over HTTPS too. botocore itself would copy the body."""

    def payload(self, request: AWSRequest) -> str:
        digest: str = request.context[_PAYLOAD]
        return digest
