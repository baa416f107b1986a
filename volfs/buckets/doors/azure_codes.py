"""The failures that Azure's answers stand for."""

from __future__ import annotations

from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.doors.s3_codes import find_by_status, read_wait
from volfs.buckets.doors.xml_answers import parse_error
from volfs.buckets.http_values import Reply

CODES: dict[str, FailureKind] = {
    "BlobNotFound": FailureKind.NO_OBJECT,
    "ResourceNotFound": FailureKind.NO_OBJECT,
    "CannotVerifyCopySource": FailureKind.NO_OBJECT,
    "ContainerNotFound": FailureKind.NO_BUCKET,
    "ContainerBeingDeleted": FailureKind.NO_BUCKET,
    "ContainerDisabled": FailureKind.NO_BUCKET,
    "InvalidResourceName": FailureKind.NO_BUCKET,
    "AuthenticationFailed": FailureKind.BAD_KEY,
    "InvalidAuthenticationInfo": FailureKind.EXPIRED,
    "NoAuthenticationInformation": FailureKind.NO_CREDENTIALS,
    "PublicAccessNotPermitted": FailureKind.NO_CREDENTIALS,
    "AuthorizationFailure": FailureKind.DENIED,
    "AuthorizationPermissionMismatch": FailureKind.DENIED,
    "InsufficientAccountPermissions": FailureKind.DENIED,
    "AccountIsDisabled": FailureKind.DENIED,
    "BlobImmutableDueToPolicy": FailureKind.DENIED,
    "LeaseIdMissing": FailureKind.DENIED,
    "BlobArchived": FailureKind.ARCHIVED,
    "BlobBeingRehydrated": FailureKind.ARCHIVED,
    "BlobAlreadyExists": FailureKind.EXISTS,
    "ConditionNotMet": FailureKind.CHANGED,
    "TargetConditionNotMet": FailureKind.CHANGED,
    "InvalidRange": FailureKind.BAD_RANGE,
    "InvalidBlockList": FailureKind.NO_UPLOAD,
    "InvalidBlobOrBlock": FailureKind.NO_UPLOAD,
    "Md5Mismatch": FailureKind.SHORT,
    "IncompleteBody": FailureKind.SHORT,
    "ServerBusy": FailureKind.BUSY,
    "OperationTimedOut": FailureKind.TIMEOUT,
    "InternalError": FailureKind.SERVER,
}
_OVER = "not valid in the specified time frame"


def to_failure(reply: Reply, *, signed: bool) -> RequestFailure:
    """The failure that an answer with this status and code stands for."""
    said = parse_error(reply.body)
    code = reply.headers.get("x-ms-error-code") or said.code
    kind = CODES.get(code) or find_by_status(reply.status)
    if kind is FailureKind.BAD_KEY and _OVER in reply.text:
        kind = FailureKind.EXPIRED
    if kind in (FailureKind.DENIED, FailureKind.BAD_KEY, FailureKind.NO_OBJECT) and not signed:
        kind = FailureKind.NO_CREDENTIALS if code != "BlobNotFound" else kind
    # A message must not show the details of a signature that does not match.
    text = code if kind is FailureKind.BAD_KEY else said._replace(code=code).text
    return RequestFailure(
        kind, text or f"HTTP {reply.status}", status=reply.status, wait=read_wait(reply)
    )
