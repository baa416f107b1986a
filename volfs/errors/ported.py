"""Classes that Modal's programs catch, and that volfs seldom or never raises.

Each class has the parent that it has in Modal. ``volfs.exception`` has all of them.
"""

from __future__ import annotations

from volfs.errors import RemoteError, TimedOutError, VolfsError


class ClientClosed(VolfsError):  # noqa: N818 - Modal's name
    code = "client-closed"


class ConnectionError(VolfsError):
    code = "connection"


class InternalFailure(VolfsError):  # noqa: N818 - Modal's name
    code = "internal-failure"


class LogsFetchError(VolfsError):
    code = "logs"


class SnapshotCreationError(VolfsError):
    code = "snapshot-creation"


class VersionError(VolfsError):
    code = "version"


class WorkspaceManagementError(VolfsError):
    code = "workspace"


class ImageBuildError(RemoteError):
    """A step of an image failed. ``image_id`` says which image it was."""

    code = "image-build"

    def __init__(self, message: str, image_id: str = "") -> None:
        super().__init__(message)
        self.image_id = image_id

    def __reduce__(self) -> tuple[type[ImageBuildError], tuple[str, str]]:
        return type(self), (str(self), self.image_id)


# --- timeouts ---------------------------------------------------------------


class ExecTimeoutError(TimedOutError):
    code = "exec-timeout"


class InteractiveTimeoutError(TimedOutError):
    code = "interactive-timeout"


class MountUploadTimeoutError(TimedOutError):
    code = "mount-upload-timeout"


class OutputExpiredError(TimedOutError):
    code = "output-expired"


class SandboxTimeoutError(TimedOutError):
    code = "sandbox-timeout"


# --- sandboxes --------------------------------------------------------------


class SandboxTerminatedError(VolfsError):
    code = "sandbox-terminated"


class SandboxFilesystemError(VolfsError):
    code = "sandbox-file-system"


class SandboxFilesystemNotFoundError(SandboxFilesystemError):
    pass


class SandboxFilesystemDirectoryNotEmptyError(SandboxFilesystemError):
    pass


class SandboxFilesystemIsADirectoryError(SandboxFilesystemError):
    pass


class SandboxFilesystemNotADirectoryError(SandboxFilesystemError):
    pass


class SandboxFilesystemPermissionError(SandboxFilesystemError):
    pass


class SandboxFilesystemFileTooLargeError(SandboxFilesystemError):
    pass


class SandboxFilesystemPathAlreadyExistsError(SandboxFilesystemError):
    pass


# --- no errors of volfs -----------------------------------------------------


class InputCancellation(BaseException):
    """Raised in a call whose result nobody wants any more. It passes through ``except
    Exception``."""


class ModuleNotMountable(Exception):  # noqa: N818 - Modal's name
    """A module that has no file."""


class UserCodeException(Exception):  # noqa: N818 - Modal's name
    """Wraps what a call raised, if ``map`` was told to wrap it. volfs never does."""


class AsyncUsageWarning(UserWarning):
    """A blocking call in asynchronous code."""


class InternalAPIWarning(UserWarning):
    """A use of a name that is not public."""


class ServerWarning(UserWarning):
    """A warning from Modal's servers."""
