"""What a mount asks of the kernel, for those who do not know which one it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from volfs.vfs.checkout import Attached, KernelNotice
from volfs.vfs.refused import Pages
from volfs.vfs.state import Mappable


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the mount asks of the kernel. Blocking calls, made from threads."""

    drain: Callable[[], None]
    """Return once requests that were on their way before the call have been handled."""
    write_back: Callable[[list[Mappable]], None]
    """Have the kernel hand over the dirty pages of these files."""
    find_attached: Callable[[], list[Attached]]
    """What is mounted in it, or on what is in it."""
    forget: Callable[[list[KernelNotice]], None]
    """Drop what the notices name from the kernel's caches."""
    find_shown: Callable[[Mappable, Pages], int] = lambda file, pages: 0
    """How many of these pages of a file the kernel shows with these lengths and checksums."""
