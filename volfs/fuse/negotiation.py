"""What a mount and the kernel agree on at INIT, beyond what libfuse asks for.

The kernel's first request, INIT, says what the kernel offers. The answer says what the file system
asks for. libfuse gives that answer, and does not know all features. So libfuse gets one end of a
socket pair as its device: INIT goes through the pair to libfuse, and its answer comes back, gets
more flags, and goes to the kernel. Then the device takes the place of libfuse's end, under the
same number, and nothing stands between libfuse and the kernel any more (docs/decisions/0031).
"""

from __future__ import annotations

import enum
import errno
import os
import select
import socket
import struct

from volfs.errors import MountError

VARIABLE = "VOLFS_FUSE_FLAGS"
"""The environment variable: ``all``, ``none``, or names of features with commas between them."""


class Features(enum.IntFlag):
    """Flags of INIT that libfuse does not ask for, by the kernel's names and numbers."""

    DONT_MASK = 1 << 6
    """We apply the umask ourselves: below a default ACL there is none."""
    PARALLEL_DIROPS = 1 << 18
    """Lookups and listings in one directory arrive in parallel."""
    CACHE_SYMLINKS = 1 << 23
    """The target of a symlink is kept like the pages of a file."""
    EXPLICIT_INVAL_DATA = 1 << 25
    """The pages of a file are kept until we say otherwise, whatever its times are."""
    HANDLE_KILLPRIV_V2 = 1 << 28
    """We drop set-id bits ourselves, and no write asks for ``security.capability`` first."""
    ALLOW_IDMAP = 1 << 40
    """Idmapped mounts are allowed. Then only requests that create something name the caller."""


NONE = Features(0)
ALL = Features(sum(Features))
_AUTO_INVAL_DATA = 1 << 12
"""The flag that would win over EXPLICIT_INVAL_DATA."""
_INIT_EXT = 1 << 30
"""The flag that says that the second word of flags counts."""
_MAJOR = 7

# struct fuse_in_header and fuse_init_in; fuse_out_header and fuse_init_out, of linux/fuse.h.
_OFFER_FLAGS, _OFFER_MORE = 52, 56
_ANSWER_ERROR, _ANSWER_MAJOR, _ANSWER_FLAGS, _ANSWER_MORE = 4, 16, 28, 48
_REQUEST_MAX, _ANSWER_MAX = 1 << 16, 1 << 12
_GONE = (errno.ENOENT, errno.ENODEV)


def read_wanted() -> Features:
    """The features that the environment asks for; all by default. MountError."""
    said = os.environ.get(VARIABLE, "all")
    if said in ("all", "none"):
        return ALL if said == "all" else NONE
    try:
        return Features(sum({Features[name.strip().upper()] for name in said.split(",")}))
    except KeyError as error:
        raise MountError(
            f"{VARIABLE}: no flag is called {str(error.args[0]).lower()!r}: say all, none, "
            f"or some of {show_features(ALL)}"
        ) from None


def show_features(features: Features) -> str:
    """The names of features, as the environment variable takes them."""
    return ",".join(str(one.name).lower() for one in Features if one in features) or "none"


def agree(offer: bytes, answer: bytes, wanted: Features) -> tuple[bytes, Features]:
    """The answer to INIT with the wanted features of the kernel's offer added, and those
    features."""
    if not _is_agreement(answer):
        return answer, NONE
    offered = _read_flags(offer, _OFFER_FLAGS, _OFFER_MORE)
    granted = wanted & Features(offered & ALL)
    if len(answer) < _ANSWER_MORE + 4 or Features.HANDLE_KILLPRIV_V2 not in granted:
        # Requests then do not name the caller, so the kernel itself must say when set-id bits have
        # to go.
        granted &= ~Features.ALLOW_IDMAP
    flags = _read_flags(answer, _ANSWER_FLAGS, _ANSWER_MORE) | granted
    if Features.EXPLICIT_INVAL_DATA in granted:
        flags &= ~_AUTO_INVAL_DATA
    return _with_flags(answer, flags), granted


def _is_agreement(answer: bytes) -> bool:
    """Whether a message is an answer with flags, and not an error or of another protocol."""
    if len(answer) < _ANSWER_FLAGS + 4:
        return False
    (error,) = struct.unpack_from("=i", answer, _ANSWER_ERROR)
    (major,) = struct.unpack_from("=I", answer, _ANSWER_MAJOR)
    return (error, major) == (0, _MAJOR)


def _read_flags(message: bytes, at: int, more_at: int) -> int:
    """Both words of flags, if the message has the second one and it counts."""
    if len(message) < at + 4:
        return 0
    (flags,) = struct.unpack_from("=I", message, at)
    if not flags & _INIT_EXT or len(message) < more_at + 4:
        return int(flags)
    (more,) = struct.unpack_from("=I", message, more_at)
    return int(flags) | int(more) << 32


def _with_flags(answer: bytes, flags: int) -> bytes:
    changed = bytearray(answer)
    if flags >> 32:
        flags |= _INIT_EXT
        struct.pack_into("=I", changed, _ANSWER_MORE, flags >> 32)
    struct.pack_into("=I", changed, _ANSWER_FLAGS, flags & 0xFFFFFFFF)
    return bytes(changed)


class Negotiation:
    """One session's INIT. libfuse takes ``descriptor`` for its device, and closes it."""

    def __init__(self, device: int, wanted: Features) -> None:
        """Take over ``device``, of a mount that has just been made. OSError."""
        self._device = device
        self._wanted = wanted
        self._is_over = False
        near, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with near:
            # The request has been waiting there since the mount was made.
            self._offer = os.read(device, _REQUEST_MAX)
            self._far.send(self._offer)
            self.descriptor = near.detach()

    def is_answered(self) -> bool:
        """Whether libfuse has answered, and ``finish`` is due."""
        if self._is_over:
            return False
        poller = select.poll()
        poller.register(self._far, select.POLLIN)
        return bool(poller.poll(0))

    def finish(self) -> Features:
        """Give the kernel its answer, and libfuse the device. Returns the granted features.
        OSError."""
        answer, granted = agree(self._offer, self._far.recv(_ANSWER_MAX), self._wanted)
        try:
            os.write(self._device, answer)
        except OSError as error:
            if error.errno not in _GONE:  # libfuse notices by itself that the mount is gone.
                raise
        os.dup2(self._device, self.descriptor, inheritable=False)
        self.close()
        return granted

    def close(self) -> None:
        """Close what does not belong to libfuse."""
        if not self._is_over:
            self._is_over = True
            os.close(self._device)
            self._far.close()
