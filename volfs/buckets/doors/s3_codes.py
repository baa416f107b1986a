"""The failures that answers of S3, or of services that speak as S3 does, stand for."""

from __future__ import annotations

from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.doors.xml_answers import parse_error
from volfs.buckets.http_values import Reply

CODES: dict[str, FailureKind] = {
    "NoSuchKey": FailureKind.NO_OBJECT,
    "NoSuchVersion": FailureKind.CHANGED,
    "PreconditionFailed": FailureKind.CHANGED,
    "NoSuchBucket": FailureKind.NO_BUCKET,
    "InvalidBucketName": FailureKind.NO_BUCKET,
    "NoSuchUpload": FailureKind.NO_UPLOAD,
    "InvalidAccessKeyId": FailureKind.BAD_KEY,
    "SignatureDoesNotMatch": FailureKind.BAD_KEY,
    "InvalidToken": FailureKind.BAD_KEY,
    "InvalidSecurity": FailureKind.BAD_KEY,
    "AuthenticationRequired": FailureKind.BAD_KEY,
    "ExpiredToken": FailureKind.EXPIRED,
    "TokenRefreshRequired": FailureKind.EXPIRED,
    "RequestExpired": FailureKind.EXPIRED,
    "RequestTimeTooSkewed": FailureKind.CLOCK,
    "AccessForbidden": FailureKind.DENIED,
    "AccessDenied": FailureKind.DENIED,
    "AllAccessDisabled": FailureKind.DENIED,
    "AccountProblem": FailureKind.DENIED,
    "InvalidObjectState": FailureKind.ARCHIVED,
    "UserProjectMissing": FailureKind.PAYER,
    "QuotaExceeded": FailureKind.FULL,
    "QuotaExceededException": FailureKind.FULL,
    "ServiceQuotaExceededException": FailureKind.FULL,
    "InsufficientStorage": FailureKind.FULL,
    "XMinioStorageFull": FailureKind.FULL,
    "XMinioAdminBucketQuotaExceeded": FailureKind.FULL,
    "PermanentRedirect": FailureKind.REGION,
    "TemporaryRedirect": FailureKind.REGION,
    "AuthorizationHeaderMalformed": FailureKind.REGION,
    "IllegalLocationConstraintException": FailureKind.REGION,
    "InvalidRange": FailureKind.BAD_RANGE,
    "SlowDown": FailureKind.BUSY,
    "SlowDownRead": FailureKind.BUSY,
    "SlowDownWrite": FailureKind.BUSY,
    "ServiceUnavailable": FailureKind.BUSY,
    "RequestLimitExceeded": FailureKind.BUSY,
    "TooManyRequests": FailureKind.BUSY,
    "Busy": FailureKind.BUSY,
    "InternalError": FailureKind.SERVER,
    "OperationAborted": FailureKind.RACE,
    "ConditionalRequestConflict": FailureKind.RACE,
    "RequestTimeout": FailureKind.TIMEOUT,
    "IncompleteBody": FailureKind.SHORT,
    "BadDigest": FailureKind.SHORT,
    "XAmzContentSHA256Mismatch": FailureKind.SHORT,
    "XAmzContentChecksumMismatch": FailureKind.SHORT,
}
STATUSES: dict[int, FailureKind] = {
    301: FailureKind.REGION,
    302: FailureKind.REGION,
    307: FailureKind.REGION,
    308: FailureKind.REGION,
    401: FailureKind.BAD_KEY,
    403: FailureKind.DENIED,
    404: FailureKind.NO_OBJECT,
    407: FailureKind.PROXY,
    408: FailureKind.TIMEOUT,
    409: FailureKind.RACE,
    412: FailureKind.CHANGED,
    416: FailureKind.BAD_RANGE,
    429: FailureKind.BUSY,
    501: FailureKind.INVALID,
    503: FailureKind.BUSY,
    507: FailureKind.FULL,
}


def to_failure(reply: Reply, *, signed: bool) -> RequestFailure:
    """The failure that an answer with this status and body stands for."""
    said = parse_error(reply.body)
    kind = CODES.get(said.code) or find_by_status(reply.status)
    if kind is FailureKind.DENIED and not signed:
        kind = FailureKind.NO_CREDENTIALS
    region = find_region(reply) if kind is FailureKind.REGION else ""
    detail = f"the service says region={region}" if region else said.text or f"HTTP {reply.status}"
    return RequestFailure(kind, detail, status=reply.status, wait=read_wait(reply), region=region)


def find_by_status(status: int) -> FailureKind:
    if status in STATUSES:
        return STATUSES[status]
    return FailureKind.SERVER if status >= 500 or status < 400 else FailureKind.INVALID


def read_wait(reply: Reply) -> float | None:
    """The seconds of Retry-After. A date there is ignored."""
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else None


def find_region(reply: Reply) -> str:
    """The region that a bucket is in, if the service told it."""
    return reply.headers.get("x-amz-bucket-region", "") or parse_error(reply.body).region
