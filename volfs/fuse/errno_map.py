"""The errno that the kernel gets for each error: the one table, most specific class first.

``tests/fuse/test_errno_map.py`` fails if a class of ``volfs.errors`` has no line.
"""

from __future__ import annotations

import errno

from volfs import errors

ERRNO: dict[type[errors.VolfsError], int] = {
    errors.NoEntryError: errno.ENOENT,
    errors.EntryExistsError: errno.EEXIST,
    errors.NotADirectoryInVolumeError: errno.ENOTDIR,
    errors.IsADirectoryInVolumeError: errno.EISDIR,
    errors.DirectoryNotEmptyError: errno.ENOTEMPTY,
    errors.NameTooLongError: errno.ENAMETOOLONG,
    errors.ReadOnlyMountError: errno.EROFS,
    errors.NotPermittedError: errno.EPERM,
    errors.TooManyLinksError: errno.EMLINK,
    errors.InvalidOperationError: errno.EINVAL,
    errors.NotSupportedError: errno.ENOTSUP,
    errors.FileTooLargeError: errno.EFBIG,
    errors.LimitError: errno.ENOSPC,
    errors.CrossDeviceError: errno.EXDEV,
    errors.NoAttributeError: errno.ENODATA,
    # This is the answer of ext4 if attributes do not fit.
    errors.AttributeTooLargeError: errno.ENOSPC,
    errors.StaleHandleError: errno.EBADF,
    # On this errno the kernel looks the path up again.
    errors.StaleInodeError: errno.ESTALE,
    errors.FileSystemError: errno.EIO,
    errors.VolumeBusyError: errno.EBUSY,
    errors.HeadMovedError: errno.EAGAIN,
    errors.ObjectChangedError: errno.ESTALE,
    errors.OverriddenError: errno.EAGAIN,
    errors.VolumeInUseError: errno.EBUSY,
    errors.ConflictError: errno.EAGAIN,
    errors.OutOfSpaceError: errno.ENOSPC,
    errors.StoreDeniedError: errno.EACCES,
    # This is not ETIMEDOUT, because programs take EIO for a broken disk, and it is one to them.
    errors.StoreTimeoutError: errno.EIO,
    errors.StoreUncertainError: errno.EIO,
    errors.StoreUnavailableError: errno.EIO,
    errors.StoreReplacedError: errno.EIO,
    errors.StoreError: errno.EIO,
    errors.MissingObjectError: errno.EIO,
    errors.DamagedObjectError: errno.EIO,
    errors.UnsupportedFormatError: errno.EIO,
    errors.DataError: errno.EIO,
    # These are about wrong requests to volfs: no file system call of an application makes them.
    errors.InvalidNameError: errno.EINVAL,
    errors.InvalidPathError: errno.EINVAL,
    errors.InvalidError: errno.EINVAL,
    errors.BaseGoneError: errno.EIO,
    errors.ObjectNotFoundError: errno.ENOENT,
    # A bucket that is gone makes its mount a broken disk, and not an empty one.
    errors.BucketNotFoundError: errno.EIO,
    errors.NotFoundError: errno.ENOENT,
    errors.ObjectExistsError: errno.EEXIST,
    errors.AlreadyExistsError: errno.EEXIST,
    errors.NotAStoreError: errno.EIO,
    errors.UnfitBucketError: errno.EIO,
    errors.LeaseLostError: errno.EIO,
    errors.BaseObjectLostError: errno.EIO,
    errors.LocalFileError: errno.EIO,
    errors.RequestSizeError: errno.EINVAL,
    errors.SerializationError: errno.EINVAL,
    errors.DeserializationError: errno.EINVAL,
    errors.UserError: errno.EINVAL,
    errors.AnswerTimeoutError: errno.EIO,
    errors.NoAnswerError: errno.EIO,
    errors.NotMountedError: errno.EIO,
    errors.MountError: errno.EIO,
    errors.AuthError: errno.EIO,
    errors.ExecutionError: errno.EIO,
    errors.InternalError: errno.EIO,
    errors.RemoteError: errno.EIO,
    errors.ResourceExhaustedError: errno.EIO,
    errors.UnimplementedError: errno.EIO,
    errors.VolumeUploadTimeoutError: errno.EIO,
    errors.FunctionTimeoutError: errno.EIO,
    errors.TimedOutError: errno.EIO,
    errors.VolfsError: errno.EIO,
}


def to_errno(error: errors.VolfsError) -> int:
    """The errno of an error: that of its own class, or of the nearest class above."""
    return next(ERRNO[kind] for kind in type(error).__mro__ if kind in ERRNO)
