"""Which failure an answer of Azure tells of."""

from __future__ import annotations

from volfs.buckets.answers import Failure, Kind
from volfs.buckets.s3_codes import find_by_status, read_wait
from volfs.buckets.wire import Reply
from volfs.buckets.xml_answers import parse_error

CODES: dict[str, Kind] = {
    "BlobNotFound": Kind.NO_OBJECT,
    "ResourceNotFound": Kind.NO_OBJECT,
    "CannotVerifyCopySource": Kind.NO_OBJECT,
    "ContainerNotFound": Kind.NO_BUCKET,
    "ContainerBeingDeleted": Kind.NO_BUCKET,
    "ContainerDisabled": Kind.NO_BUCKET,
    "InvalidResourceName": Kind.NO_BUCKET,
    "AuthenticationFailed": Kind.BAD_KEY,
    "InvalidAuthenticationInfo": Kind.EXPIRED,
    "NoAuthenticationInformation": Kind.NO_CREDENTIALS,
    "PublicAccessNotPermitted": Kind.NO_CREDENTIALS,
    "AuthorizationFailure": Kind.DENIED,
    "AuthorizationPermissionMismatch": Kind.DENIED,
    "InsufficientAccountPermissions": Kind.DENIED,
    "AccountIsDisabled": Kind.DENIED,
    "BlobImmutableDueToPolicy": Kind.DENIED,
    "LeaseIdMissing": Kind.DENIED,
    "BlobArchived": Kind.ARCHIVED,
    "BlobBeingRehydrated": Kind.ARCHIVED,
    "BlobAlreadyExists": Kind.EXISTS,
    "ConditionNotMet": Kind.CHANGED,
    "TargetConditionNotMet": Kind.CHANGED,
    "InvalidRange": Kind.BAD_RANGE,
    "InvalidBlockList": Kind.NO_UPLOAD,
    "InvalidBlobOrBlock": Kind.NO_UPLOAD,
    "Md5Mismatch": Kind.SHORT,
    "IncompleteBody": Kind.SHORT,
    "ServerBusy": Kind.BUSY,
    "OperationTimedOut": Kind.TIMEOUT,
    "InternalError": Kind.SERVER,
}
_OVER = "not valid in the specified time frame"


def to_failure(reply: Reply, *, signed: bool) -> Failure:
    """The failure that an answer with such a status and code stands for."""
    said = parse_error(reply.body)
    code = reply.headers.get("x-ms-error-code") or said.code
    kind = CODES.get(code) or find_by_status(reply.status)
    if kind is Kind.BAD_KEY and _OVER in reply.text:
        kind = Kind.EXPIRED
    if kind in (Kind.DENIED, Kind.BAD_KEY, Kind.NO_OBJECT) and not signed:
        kind = Kind.NO_CREDENTIALS if code != "BlobNotFound" else kind
    # The details of a signature that does not fit are no reader's business.
    text = code if kind is Kind.BAD_KEY else said._replace(code=code).text
    return Failure(kind, text or f"HTTP {reply.status}", status=reply.status, wait=read_wait(reply))
