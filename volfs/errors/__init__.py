"""The one exception tree of volfs.

    VolfsError
    ├── UserError                    the request itself is wrong
    │   ├── InvalidError               an argument
    │   │   ├── InvalidNameError         a name of a volume, tag, mount point …
    │   │   ├── InvalidPathError         a path inside a volume
    │   │   └── ConflictError            somebody else was there first
    │   │       ├── HeadMovedError         a compare-and-swap was lost
    │   │       ├── LeaseLostError         a mount's lease was revoked, and its base is gone
    │   │       ├── ObjectChangedError     an object of a bucket was replaced meanwhile
    │   │       ├── OverriddenError        ``--on-conflict fail`` refused
    │   │       ├── VolumeInUseError       mounted, or with uncommitted changes
    │   │       └── VolumeBusyError        reload while files are open (EBUSY)
    │   ├── NotFoundError              no such volume, version, mount
    │   │   ├── BaseGoneError            what an overlay stands on is not in the store
    │   │   └── ObjectNotFoundError, BucketNotFoundError
    │   ├── AlreadyExistsError
    │   │   └── ObjectExistsError        a create-only write to a bucket was refused
    │   ├── NotAStoreError             a folder that is no volfs store
    │   ├── UnfitBucketError           a bucket that cannot be a store
    │   ├── LocalFileError             a file outside the volume, in put and get
    │   ├── RequestSizeError           more than one call may carry
    │   └── SerializationError, DeserializationError
    ├── FileSystemError              what a POSIX call answers (fuse/errno_map.py)
    │   ├── NoEntryError … StaleInodeError
    ├── StoreError                   the bytes cannot be reached or kept
    │   ├── StoreUnavailableError, StoreDeniedError, OutOfSpaceError
    │   │   └── StoreUncertainError      it is not known whether a write was done
    │   ├── BaseObjectLostError        a file lies over an object that is gone from its bucket
    │   ├── StoreReplacedError         what is at its address is not what was opened
    │   └── StoreTimeoutError
    ├── DataError                    the bytes are there and wrong, or gone
    │   ├── MissingObjectError, DamagedObjectError
    │   └── UnsupportedFormatError
    ├── MountError                   the daemon could not start or answer
    │   ├── NotMountedError            commit() and reload() where no mount is seen
    │   └── NoAnswerError              a daemon that takes no calls, or has ended in one
    │       └── AnswerTimeoutError       no answer in the time that was given
    ├── TimedOutError                StoreTimeoutError, AnswerTimeoutError, FunctionTimeoutError
    └── AuthError … UnimplementedError  what ported programs catch; more in errors.ported

A store error never becomes a skipped file, and a data error never becomes
bytes. Messages say what, where, and what to do. ``level`` is how loudly a
log should speak of it, in the numbers of the logging module.
"""

from __future__ import annotations

import errno
from typing import ClassVar

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40


class VolfsError(Exception):
    """The base of everything that volfs raises on purpose.

    ``code`` is a stable word for programs, ``exit_status`` the exit status of the command line,
    and ``level`` the severity in a log.
    """

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1
    level: ClassVar[int] = ERROR


# --- the request ------------------------------------------------------------


class UserError(VolfsError):
    code = "user"
    level = INFO


class InvalidError(UserError):
    code = "invalid"
    exit_status = 2


class InvalidNameError(InvalidError):
    code = "invalid-name"


class InvalidPathError(InvalidError):
    code = "invalid-path"


class NotFoundError(UserError):
    code = "not-found"


class BaseGoneError(NotFoundError):
    """The store does not have the version that an overlay stands on: an older copy was restored,
    say."""

    code = "base-gone"


class ObjectNotFoundError(NotFoundError):
    """A bucket has no object of that key."""

    code = "object-not-found"


class BucketNotFoundError(NotFoundError):
    code = "bucket-not-found"


class AlreadyExistsError(UserError):
    code = "already-exists"


class ObjectExistsError(AlreadyExistsError):
    """A bucket already has an object with a key that must be new."""

    code = "object-exists"


class NotAStoreError(UserError):
    code = "not-a-store"


class UnfitBucketError(UserError):
    """The service of a bucket does not do what a store relies on."""

    code = "unfit-bucket"


class LocalFileError(UserError):
    code = "local-file"


class RequestSizeError(UserError):
    code = "request-size"


class SerializationError(UserError):
    """A value that cloudpickle refuses."""

    code = "serialization"


class DeserializationError(UserError):
    """A stored value that this process cannot unpickle, because it lacks a class, say."""

    code = "deserialization"


# --- what a POSIX call answers ----------------------------------------------


class FileSystemError(VolfsError):
    """An answer to a file system call. It is expected, and not worth a line in the log."""

    code = "file-system"
    level = DEBUG


class NoEntryError(FileSystemError):
    code = "no-entry"


class EntryExistsError(FileSystemError):
    code = "entry-exists"


class NotADirectoryInVolumeError(FileSystemError):
    code = "not-a-directory"


class IsADirectoryInVolumeError(FileSystemError):
    code = "is-a-directory"


class DirectoryNotEmptyError(FileSystemError):
    code = "directory-not-empty"


class NameTooLongError(FileSystemError):
    code = "name-too-long"


class ReadOnlyMountError(FileSystemError):
    code = "read-only"


class NotPermittedError(FileSystemError):
    code = "not-permitted"


class TooManyLinksError(FileSystemError):
    code = "too-many-links"


class InvalidOperationError(FileSystemError):
    code = "invalid-operation"


class NotSupportedError(FileSystemError):
    code = "not-supported"


class FileTooLargeError(FileSystemError):
    code = "file-too-large"


class LimitError(FileSystemError):
    """A limit of the volume's profile. It is answered with ENOSPC, and names the limit."""

    code = "limit"
    level = INFO


class CrossDeviceError(FileSystemError):
    """A rename that is to be done by copying, as between two file systems."""

    code = "cross-device"


class NoAttributeError(FileSystemError):
    code = "no-attribute"


class AttributeTooLargeError(FileSystemError):
    code = "attribute-too-large"


class StaleHandleError(FileSystemError):
    code = "stale-handle"


class StaleInodeError(FileSystemError):
    """The inode belongs to a version that a reload has left."""

    code = "stale-inode"


# --- conflicts --------------------------------------------------------------


class ConflictError(InvalidError):
    """Somebody else was first. It is an InvalidError, as on Modal, although the usage was
    right."""

    code = "conflict"
    exit_status = 1


class HeadMovedError(ConflictError):
    """Another version was published between reading the head and swapping it."""

    code = "head-moved"


class LeaseLostError(ConflictError):
    """The lease of a mount was revoked, and what its changes stand on is gone."""

    code = "lease-lost"


class ObjectChangedError(ConflictError):
    """An object of a bucket was replaced: its ETag is not the expected one."""

    code = "object-changed"


class OverriddenError(ConflictError):
    """``on_conflict="fail"``: publishing would override what others committed."""

    code = "overridden"


class VolumeInUseError(ConflictError):
    code = "in-use"


class VolumeBusyError(ConflictError, RuntimeError, OSError):
    """Open files prevent a reload: a RuntimeError, as on Modal, and an EBUSY."""

    code = "busy"
    exit_status = errno.EBUSY

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.errno = errno.EBUSY

    def __str__(self) -> str:
        return str(self.args[0])


# --- the store --------------------------------------------------------------


class StoreError(VolfsError):
    code = "store"


class StoreUnavailableError(StoreError):
    code = "store-unavailable"


class StoreUncertainError(StoreUnavailableError):
    """A write got no answer, and nobody could find out whether it was done."""

    code = "store-uncertain"


class StoreDeniedError(StoreError):
    code = "store-denied"


class BaseObjectLostError(StoreError):
    """A file lies over an object of a bucket that was replaced or deleted, so nobody can make the
    file whole."""

    code = "base-object-lost"


class StoreReplacedError(StoreError):
    """The store at its address is not the one that was opened."""

    code = "store-replaced"


class OutOfSpaceError(StoreError):
    code = "out-of-space"


class TimedOutError(VolfsError):
    """Something took longer than its time limit."""

    code = "timed-out"


class StoreTimeoutError(StoreError, TimedOutError):
    code = "store-timeout"


# --- the data ---------------------------------------------------------------


class DataError(VolfsError):
    code = "data"


class MissingObjectError(DataError):
    code = "missing-object"


class DamagedObjectError(DataError):
    code = "damaged-object"


class UnsupportedFormatError(DataError):
    code = "unsupported-format"


# --- a mount ----------------------------------------------------------------


class MountError(VolfsError, RuntimeError):
    """A RuntimeError, as Modal's ``commit()`` and ``reload()`` raise."""

    code = "mount"


class NoAnswerError(MountError):
    """A daemon accepts no call, or has not answered one."""

    code = "no-answer"


class AnswerTimeoutError(NoAnswerError, TimedOutError):
    """A daemon has not answered within its caller's time limit. It may still do what it was asked
    for."""

    code = "answer-timeout"


class NotMountedError(MountError):
    """The calling process sees no mount of the volume, or several."""

    code = "not-mounted"


# --- what ported programs catch ---------------------------------------------
# Modal's names, for ``volfs.exception``.


class AuthError(VolfsError):
    code = "auth"


class ExecutionError(VolfsError):
    code = "execution"


class FunctionTimeoutError(TimedOutError, TimeoutError):
    """A function ran too long, or its result did not arrive in time."""

    code = "function-timeout"


class InternalError(VolfsError):
    code = "internal"


class RemoteError(VolfsError):
    code = "remote"


class ResourceExhaustedError(VolfsError):
    code = "resource-exhausted"


class UnimplementedError(VolfsError):
    code = "unimplemented"


class VolumeUploadTimeoutError(StoreTimeoutError):
    code = "upload-timeout"


class DeprecatedWarning(UserWarning):
    """A name or an argument that will be removed."""
