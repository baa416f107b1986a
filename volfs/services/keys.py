"""The key file. Each secret is encrypted with a random key of its own, and that key with a key
of the file.

The file has one key on each line, the newest first. The newest key encrypts. Without the file no
stored secret can be read, so the file is not in the store.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from blake3 import blake3

from volfs.errors import DamagedObjectError, LocalFileError, StoreDeniedError
from volfs.model.text import describe_error
from volfs.system.files import replace_file, sync_directory, written_beside
from volfs.system.locks import locked_directory

_MAGIC = "volfs-secret-key-1"
_KEY_SIZE = 32
_NONCE_SIZE = 12
_ID_SIZE = 8
_FILE_MAX = 1 << 20


class Key:
    """32 secret bytes, and a public id by which an encrypted secret names its key."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.id = blake3(secret, derive_key_context="volfs secret key id").digest(_ID_SIZE)

    def __repr__(self) -> str:
        return f"Key({self.id.hex()})"

    def encrypt(self, data: bytes, about: bytes) -> bytes:
        """Encrypt with AES-256-GCM: the nonce, then the text and its tag. ``about`` is
        authenticated, too."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_SIZE)
        return nonce + AESGCM(self._secret).encrypt(nonce, data, about)

    def decrypt(self, data: bytes, about: bytes) -> bytes:
        """Decrypt. DamagedObjectError if the bytes were encrypted with another key or another
        ``about``."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self._secret).decrypt(data[:_NONCE_SIZE], data[_NONCE_SIZE:], about)
        except (InvalidTag, ValueError):
            raise DamagedObjectError("a secret's bytes were altered, or moved here") from None

    def encode(self) -> str:
        return f"{_MAGIC} {self._secret.hex()}\n"


def make_key() -> Key:
    return Key(secrets.token_bytes(_KEY_SIZE))


class EncryptedSecret(msgspec.Struct, array_like=True, frozen=True):
    """A stored secret: its bytes, encrypted with a key of their own, and that key, encrypted with
    the file's."""

    version: int
    key: bytes
    """The id of the file's key."""
    wrapped: bytes
    content: bytes

    def about(self, context: bytes) -> bytes:
        return context + b"\0%d" % self.version


class KeyRing(NamedTuple):
    """The keys of a file, the newest first."""

    path: Path
    keys: Sequence[Key]

    @property
    def ids(self) -> list[bytes]:
        return [key.id for key in self.keys]

    def encrypt(self, data: bytes, context: bytes, version: int) -> EncryptedSecret:
        """Encrypt a secret. It can be opened only with the same ``context``, which says whose it
        is."""
        secret = secrets.token_bytes(_KEY_SIZE)
        about = context + b"\0%d" % version
        wrapped = self.keys[0].encrypt(secret, about)
        return EncryptedSecret(version, self.keys[0].id, wrapped, Key(secret).encrypt(data, about))

    def decrypt(self, encrypted: EncryptedSecret, context: bytes) -> bytes:
        """Decrypt a secret. DamagedObjectError; StoreDeniedError if the file does not have the
        key."""
        about = encrypted.about(context)
        secret = self._get(encrypted.key).decrypt(encrypted.wrapped, about)
        return Key(secret).decrypt(encrypted.content, about)

    def rewrap(self, encrypted: EncryptedSecret, context: bytes) -> EncryptedSecret:
        """The same secret, with its own key encrypted by the newest key of the file."""
        about = encrypted.about(context)
        secret = self._get(encrypted.key).decrypt(encrypted.wrapped, about)
        wrapped = self.keys[0].encrypt(secret, about)
        return msgspec.structs.replace(encrypted, key=self.keys[0].id, wrapped=wrapped)

    def _get(self, key_id: bytes) -> Key:
        for key in self.keys:
            if key.id == key_id:
                return key
        raise StoreDeniedError(
            f"{self.path} has not the key {key_id.hex()} that this secret is encrypted with; "
            "name the right file in VOLFS_SECRET_KEY_FILE"
        )


# --- the file ---------------------------------------------------------------


def find_key_file(usual: Path) -> Path:
    """``VOLFS_SECRET_KEY_FILE``, else the file that a store has for it."""
    named = os.environ.get("VOLFS_SECRET_KEY_FILE")
    return Path(named) if named else usual


def is_shared() -> bool:
    """Whether the key file was named by the variable, so that other stores may use it, too."""
    return bool(os.environ.get("VOLFS_SECRET_KEY_FILE"))


def load_keys(path: Path) -> KeyRing:
    """Read the key file. StoreDeniedError if there is none, or if others know it; LocalFileError
    if it is no key file."""
    try:
        with open(path, opener=_open_at_once) as file:
            _check_private(path, os.fstat(file.fileno()))
            text = file.read(_FILE_MAX + 1)
    except FileNotFoundError:
        raise StoreDeniedError(
            f"no key file {path}: without it secrets cannot be read; copy it from a machine that "
            "has it, or name it in VOLFS_SECRET_KEY_FILE"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreDeniedError(f"key file {path}: {describe_error(error)}") from None
    if len(text) > _FILE_MAX:
        raise LocalFileError(f"key file {path}: longer than {_FILE_MAX >> 20} MiB")
    lines = text.splitlines()
    return KeyRing(path, [_parse(path, line) for line in lines if line] or [_parse(path, "")])


def _open_at_once(path: str, flags: int) -> int:
    """Open the file without waiting, in case somebody put a fifo there."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _check_private(path: Path, status: os.stat_result) -> None:
    """StoreDeniedError unless only this user and root can know the key.

    Otherwise somebody else could create the file first, and would know everything that it encrypts.
    """
    if not stat.S_ISREG(status.st_mode):
        raise StoreDeniedError(f"{path}: a key file is a regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise StoreDeniedError(
            f"{path}: this key file belongs to another user ({status.st_uid}), who knows the key; "
            "name one of your own in VOLFS_SECRET_KEY_FILE"
        )
    if status.st_mode & 0o077:
        raise StoreDeniedError(f"{path}: others may read this key file: chmod 600 {path}")


def _parse(path: Path, line: str) -> Key:
    magic, _, digits = line.partition(" ")
    with contextlib.suppress(ValueError):
        secret = bytes.fromhex(digits)
        if magic == _MAGIC and len(secret) == _KEY_SIZE:
            return Key(secret)
    # The message never has the line itself.
    raise LocalFileError(f"{path} is not a key file of volfs")


def create_key_file(path: Path) -> None:
    """Create a key file with a new key, unless it exists. Two processes at once agree on one
    file."""
    with _naming(path):
        keys = _encode_keys([make_key()])
        with written_beside(path, keys) as new, contextlib.suppress(FileExistsError):
            os.link(new, path)
        sync_directory(path.parent)


def replace_key_file(path: Path, keys: Sequence[Key]) -> None:
    """Replace the key file durably: afterwards it is the whole new file or the old one."""
    with _naming(path):
        replace_file(path, _encode_keys(keys))


def _encode_keys(keys: Sequence[Key]) -> bytes:
    return "".join(key.encode() for key in keys).encode()


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LocalFileError(f"key file {path}: {error.strerror}") from None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other rotations from changing the key file meanwhile. Raises what ``load_keys``
    raises."""
    # The lock is on the directory, because the file itself is replaced.
    load_keys(path)
    with locked_directory(path.parent):
        yield
