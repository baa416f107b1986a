"""Modal's names of what goes wrong; the classes are those of ``volfs.errors``.

What a standard class says best is raised as that: KeyError, ValueError,
FileNotFoundError, FileExistsError, queue.Empty, queue.Full.
"""

from __future__ import annotations

from volfs.errors import (
    AlreadyExistsError,
    AuthError,
    ConflictError,
    DeserializationError,
    ExecutionError,
    FunctionTimeoutError,
    InternalError,
    InvalidError,
    NotFoundError,
    RemoteError,
    RequestSizeError,
    ResourceExhaustedError,
    SerializationError,
    UnimplementedError,
    VolumeUploadTimeoutError,
)
from volfs.errors import DataError as DataLossError
from volfs.errors import DeprecatedWarning as DeprecationError
from volfs.errors import StoreDeniedError as PermissionDeniedError
from volfs.errors import StoreError as ServiceError
from volfs.errors import TimedOutError as TimeoutError
from volfs.errors import VolfsError as Error

__all__ = [
    "AlreadyExistsError",
    "AuthError",
    "ConflictError",
    "DataLossError",
    "DeprecationError",
    "DeserializationError",
    "Error",
    "ExecutionError",
    "FunctionTimeoutError",
    "InternalError",
    "InvalidError",
    "NotFoundError",
    "PermissionDeniedError",
    "RemoteError",
    "RequestSizeError",
    "ResourceExhaustedError",
    "SerializationError",
    "ServiceError",
    "TimeoutError",
    "UnimplementedError",
    "VolumeUploadTimeoutError",
]
