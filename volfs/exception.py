"""Modal's names of what goes wrong; the classes are those of ``volfs.errors``.

What a standard class says best is raised as that: KeyError, ValueError,
FileNotFoundError, FileExistsError, queue.Empty, queue.Full.
"""

from __future__ import annotations

import random
import signal
from typing import NoReturn

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
from volfs.errors.ported import (
    AsyncUsageWarning,
    ClientClosed,
    ConnectionError,
    ExecTimeoutError,
    ImageBuildError,
    InputCancellation,
    InteractiveTimeoutError,
    InternalAPIWarning,
    InternalFailure,
    LogsFetchError,
    ModuleNotMountable,
    MountUploadTimeoutError,
    OutputExpiredError,
    SandboxFilesystemDirectoryNotEmptyError,
    SandboxFilesystemError,
    SandboxFilesystemFileTooLargeError,
    SandboxFilesystemIsADirectoryError,
    SandboxFilesystemNotADirectoryError,
    SandboxFilesystemNotFoundError,
    SandboxFilesystemPathAlreadyExistsError,
    SandboxFilesystemPermissionError,
    SandboxTerminatedError,
    SandboxTimeoutError,
    ServerWarning,
    SnapshotCreationError,
    UserCodeException,
    VersionError,
    WorkspaceManagementError,
)

__all__ = [
    "AlreadyExistsError",
    "AsyncUsageWarning",
    "AuthError",
    "ClientClosed",
    "ConflictError",
    "ConnectionError",
    "DataLossError",
    "DeprecationError",
    "DeserializationError",
    "Error",
    "ExecTimeoutError",
    "ExecutionError",
    "FunctionTimeoutError",
    "ImageBuildError",
    "InputCancellation",
    "InteractiveTimeoutError",
    "InternalAPIWarning",
    "InternalError",
    "InternalFailure",
    "InvalidError",
    "LogsFetchError",
    "ModuleNotMountable",
    "MountUploadTimeoutError",
    "NotFoundError",
    "OutputExpiredError",
    "PermissionDeniedError",
    "RemoteError",
    "RequestSizeError",
    "ResourceExhaustedError",
    "SandboxFilesystemDirectoryNotEmptyError",
    "SandboxFilesystemError",
    "SandboxFilesystemFileTooLargeError",
    "SandboxFilesystemIsADirectoryError",
    "SandboxFilesystemNotADirectoryError",
    "SandboxFilesystemNotFoundError",
    "SandboxFilesystemPathAlreadyExistsError",
    "SandboxFilesystemPermissionError",
    "SandboxTerminatedError",
    "SandboxTimeoutError",
    "SerializationError",
    "ServerWarning",
    "ServiceError",
    "SnapshotCreationError",
    "TimeoutError",
    "UnimplementedError",
    "UserCodeException",
    "VersionError",
    "VolumeUploadTimeoutError",
    "WorkspaceManagementError",
    "simulate_preemption",
]

_SECONDS_LEFT = 30


def simulate_preemption(wait_seconds: int, jitter_seconds: int = 0) -> None:
    """KeyboardInterrupt in this process after so many seconds, its end 30 seconds later.

    ValueError. Of the first thread of a process only.
    """
    if wait_seconds <= 0:
        raise ValueError("Time to wait must be greater than 0")
    signal.signal(signal.SIGALRM, _interrupt)
    signal.alarm(wait_seconds + (random.randrange(jitter_seconds) if jitter_seconds else 0))


def _interrupt(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_SECONDS_LEFT)
    raise KeyboardInterrupt("Simulated preemption interrupt from modal-client!")
