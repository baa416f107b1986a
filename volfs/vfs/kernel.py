"""What a mount asks of its kernel, as an interface that does not say which kernel it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from volfs.vfs.checkout_plan import Attached, KernelNotice
from volfs.vfs.refused import Pages
from volfs.vfs.state import Mappable


@dataclass(frozen=True, slots=True)
class Kernel:
    """The calls by which the mount asks something of the kernel. They block, and are made in
    threads."""

    drain: Callable[[], None]
    """Return once the requests that were on their way before the call have been handled."""
    write_back: Callable[[list[Mappable]], None]
    """Let the kernel hand over the dirty pages of these files."""
    find_attached: Callable[[], list[Attached]]
    """What is mounted in the mount, or has a source in it."""
    forget: Callable[[list[KernelNotice]], None]
    """Drop what the notices name from the kernel's caches."""
    find_shown: Callable[[Mappable, Pages], int] = lambda file, pages: 0
    """The number of these pages of a file that the kernel shows with these lengths and
    checksums."""
