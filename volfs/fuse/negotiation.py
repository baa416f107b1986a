"""What a mount and the kernel agree on at INIT, beyond what libfuse asks for.

The kernel's first request, INIT, says what the kernel offers; the answer says what the
file system asks for. libfuse gives that answer, and does not know all of it. So libfuse is
given one end of a socket pair for its device: INIT goes through the pair to libfuse, the
answer comes back, is given more flags, and goes to the kernel. Then the device takes the
place of libfuse's end, under the same number, and nothing stands between them any more
(docs/decisions/0031).
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
"""In the environment: ``all``, ``none``, or names of features with commas between them."""


class Features(enum.IntFlag):
    """Flags of INIT that libfuse does not ask for, by the kernel's names and numbers."""

    DONT_MASK = 1 << 6
    """The umask is ours to apply: below a default ACL there is none."""
    PARALLEL_DIROPS = 1 << 18
    """Lookups and listings in one directory come side by side."""
    CACHE_SYMLINKS = 1 << 23
    """What a symlink says is kept like a file's pages."""
    EXPLICIT_INVAL_DATA = 1 << 25
    """A file's pages are kept until we say otherwise, whatever its times are."""
    HANDLE_KILLPRIV_V2 = 1 << 28
    """Set-id bits are ours to drop, and no write asks for ``security.capability`` first."""
    ALLOW_IDMAP = 1 << 40
    """Idmapped mounts. Only requests that make something then say who asks."""


NONE = Features(0)
ALL = Features(sum(Features))
_AUTO_INVAL_DATA = 1 << 12
"""Would win over EXPLICIT_INVAL_DATA."""
_INIT_EXT = 1 << 30
"""Says that the second word of flags counts."""
_MAJOR = 7

# struct fuse_in_header and fuse_init_in; fuse_out_header and fuse_init_out, of linux/fuse.h.
_OFFER_FLAGS, _OFFER_MORE = 52, 56
_ANSWER_ERROR, _ANSWER_MAJOR, _ANSWER_FLAGS, _ANSWER_MORE = 4, 16, 28, 48
_REQUEST_MAX, _ANSWER_MAX = 1 << 16, 1 << 12
_GONE = (errno.ENOENT, errno.ENODEV)


def read_wanted() -> Features:
    """What the environment says is to be asked for; all by default. MountError."""
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
    """Their names, to be read, or for the environment."""
    return ",".join(str(one.name).lower() for one in Features if one in features) or "none"


def agree(offer: bytes, answer: bytes, wanted: Features) -> tuple[bytes, Features]:
    """The answer to INIT, with what is wanted of the kernel's offer added; and what that is."""
    if not _is_agreement(answer):
        return answer, NONE
    offered = _read_flags(offer, _OFFER_FLAGS, _OFFER_MORE)
    granted = wanted & Features(offered & ALL)
    if len(answer) < _ANSWER_MORE + 4 or Features.HANDLE_KILLPRIV_V2 not in granted:
        # Who does not say who asks has to say when set-id bits are to go.
        granted &= ~Features.ALLOW_IDMAP
    flags = _read_flags(answer, _ANSWER_FLAGS, _ANSWER_MORE) | granted
    if Features.EXPLICIT_INVAL_DATA in granted:
        flags &= ~_AUTO_INVAL_DATA
    return _with_flags(answer, flags), granted


def _is_agreement(answer: bytes) -> bool:
    """Whether it is an answer with flags, and no error or another protocol."""
    if len(answer) < _ANSWER_FLAGS + 4:
        return False
    (error,) = struct.unpack_from("=i", answer, _ANSWER_ERROR)
    (major,) = struct.unpack_from("=I", answer, _ANSWER_MAJOR)
    return (error, major) == (0, _MAJOR)


def _read_flags(message: bytes, at: int, more_at: int) -> int:
    """Both words of flags, where the message has the second and it counts."""
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
    """One session's INIT. ``descriptor`` is what libfuse takes for its device; it closes that."""

    def __init__(self, device: int, wanted: Features) -> None:
        """Takes ``device`` over, of a mount that has just been made. OSError."""
        self._device = device
        self._wanted = wanted
        self._is_over = False
        near, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with near:
            self._offer = os.read(device, _REQUEST_MAX)  # waits there since the mount was made
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
        """Give the kernel its answer, and libfuse the device. What was granted. OSError."""
        answer, granted = agree(self._offer, self._far.recv(_ANSWER_MAX), self._wanted)
        try:
            os.write(self._device, answer)
        except OSError as error:
            if error.errno not in _GONE:  # libfuse finds out by itself that the mount is gone
                raise
        os.dup2(self._device, self.descriptor, inheritable=False)
        self.close()
        return granted

    def close(self) -> None:
        """Let go of what is not libfuse's."""
        if not self._is_over:
            self._is_over = True
            os.close(self._device)
            self._far.close()
