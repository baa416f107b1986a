"""Which failure an answer of S3, or of what speaks as S3 does, tells of."""

from __future__ import annotations

from volfs.buckets.answers import Failure, Kind
from volfs.buckets.wire import Reply
from volfs.buckets.xml_answers import Said, parse_error

CODES: dict[str, Kind] = {
    "NoSuchKey": Kind.NO_OBJECT,
    "NoSuchVersion": Kind.CHANGED,
    "NoSuchBucket": Kind.NO_BUCKET,
    "InvalidBucketName": Kind.NO_BUCKET,
    "NoSuchUpload": Kind.NO_UPLOAD,
    "InvalidAccessKeyId": Kind.BAD_KEY,
    "SignatureDoesNotMatch": Kind.BAD_KEY,
    "InvalidToken": Kind.BAD_KEY,
    "InvalidSecurity": Kind.BAD_KEY,
    "AuthenticationRequired": Kind.BAD_KEY,
    "ExpiredToken": Kind.EXPIRED,
    "TokenRefreshRequired": Kind.EXPIRED,
    "RequestExpired": Kind.EXPIRED,
    "RequestTimeTooSkewed": Kind.CLOCK,
    "AccessForbidden": Kind.DENIED,
    "AccessDenied": Kind.DENIED,
    "AllAccessDisabled": Kind.DENIED,
    "AccountProblem": Kind.DENIED,
    "InvalidObjectState": Kind.ARCHIVED,
    "UserProjectMissing": Kind.PAYER,
    "QuotaExceeded": Kind.FULL,
    "QuotaExceededException": Kind.FULL,
    "ServiceQuotaExceededException": Kind.FULL,
    "InsufficientStorage": Kind.FULL,
    "XMinioStorageFull": Kind.FULL,
    "XMinioAdminBucketQuotaExceeded": Kind.FULL,
    "PermanentRedirect": Kind.REGION,
    "TemporaryRedirect": Kind.REGION,
    "AuthorizationHeaderMalformed": Kind.REGION,
    "IllegalLocationConstraintException": Kind.REGION,
    "InvalidRange": Kind.BAD_RANGE,
    "SlowDown": Kind.BUSY,
    "SlowDownRead": Kind.BUSY,
    "SlowDownWrite": Kind.BUSY,
    "ServiceUnavailable": Kind.BUSY,
    "RequestLimitExceeded": Kind.BUSY,
    "TooManyRequests": Kind.BUSY,
    "Busy": Kind.BUSY,
    "InternalError": Kind.SERVER,
    "OperationAborted": Kind.RACE,
    "ConditionalRequestConflict": Kind.RACE,
    "RequestTimeout": Kind.TIMEOUT,
    "IncompleteBody": Kind.SHORT,
    "BadDigest": Kind.SHORT,
    "XAmzContentSHA256Mismatch": Kind.SHORT,
    "XAmzContentChecksumMismatch": Kind.SHORT,
}
STATUSES: dict[int, Kind] = {
    301: Kind.REGION,
    302: Kind.REGION,
    307: Kind.REGION,
    308: Kind.REGION,
    401: Kind.BAD_KEY,
    403: Kind.DENIED,
    404: Kind.NO_OBJECT,
    408: Kind.TIMEOUT,
    409: Kind.RACE,
    412: Kind.CHANGED,
    416: Kind.BAD_RANGE,
    429: Kind.BUSY,
    503: Kind.BUSY,
    507: Kind.FULL,
}


def to_failure(reply: Reply, *, signed: bool) -> Failure:
    """The failure that an answer with such a status, or such a body, stands for."""
    said = parse_error(reply.body)
    kind = CODES.get(said.code) or find_by_status(reply.status)
    if kind is Kind.DENIED and not signed:
        kind = Kind.NO_CREDENTIALS
    detail = _describe(kind, said, reply)
    return Failure(kind, detail, status=reply.status, wait=read_wait(reply))


def find_by_status(status: int) -> Kind:
    if status in STATUSES:
        return STATUSES[status]
    return Kind.SERVER if status >= 500 or status < 400 else Kind.INVALID


def read_wait(reply: Reply) -> float | None:
    """The seconds of Retry-After; a date there is not worth a thought."""
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else None


def find_region(reply: Reply) -> str:
    """The region that a bucket is in, if the service said so."""
    return reply.headers.get("x-amz-bucket-region", "") or parse_error(reply.body).region


def _describe(kind: Kind, said: Said, reply: Reply) -> str:
    if kind is Kind.REGION and (region := find_region(reply)):
        return f"the service says region={region}"
    return said.text or f"HTTP {reply.status}"
