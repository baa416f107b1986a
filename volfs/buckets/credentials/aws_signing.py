"""The signer of requests to S3."""

from __future__ import annotations

import time

from volfs.buckets.credentials.aws_credentials import GetKeys
from volfs.buckets.credentials.signature_v4 import AWS, sign_request
from volfs.buckets.credentials.signing import RenewableSigner
from volfs.buckets.http_values import WireRequest


class AwsSigner(RenewableSigner):
    """Signs requests with a pair of keys."""

    def __init__(self, get_keys: GetKeys, region: str) -> None:
        super().__init__(get_keys)
        self._get_keys = get_keys
        self.region = region

    def sign(self, request: WireRequest, host: str) -> WireRequest:
        return sign_request(
            AWS, self._get_keys(False), self.region, request, host, int(time.time())
        )
